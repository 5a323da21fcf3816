/* Loaded into a test program before all else (LD_PRELOAD): keeps it before its `main`, with libtorch already
   loaded, and forks a copy for every line that it reads:

       <file for the output> TAB <seconds of processor time> TAB <variable=value>... TAB TAB <argument>...

   It answers with the copy's process id, and when the copy has ended with its wait status and the
   milliseconds of processor time. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS 4096

typedef int (*main_function)(int, char **, char **);
static main_function real_main;

static void limit(int what, rlim_t most) {
    struct rlimit both = {most, most};
    setrlimit(what, &both);
}

static int serve(int argc, char **argv, char **envp) {
    static char *words[WORDS];
    char *line = NULL;
    size_t size = 0;
    (void)argc;
    (void)envp;
    while (getline(&line, &size, stdin) > 0) {
        line[strcspn(line, "\n")] = 0;
        char *rest = line, *output = strsep(&rest, "\t"), *seconds = strsep(&rest, "\t"), *word;
        pid_t child = fork();
        if (child == 0) {
            setsid();
            int file = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600), null = open("/dev/null", O_RDWR);
            dup2(null, 0);
            dup2(file, 1);
            dup2(null, 2);
            limit(RLIMIT_CPU, (rlim_t)atol(seconds));
            limit(RLIMIT_AS, (rlim_t)5 << 30);
            limit(RLIMIT_FSIZE, (rlim_t)1 << 30);
            limit(RLIMIT_CORE, 0);
            while ((word = strsep(&rest, "\t")) && *word) putenv(word);
            int count = 0;
            words[count++] = argv[0];
            while (count < WORDS - 1 && (word = strsep(&rest, "\t"))) words[count++] = word;
            words[count] = NULL;
            _exit(real_main(count, words, environ));
        }
        printf("%d\n", child);
        fflush(stdout);
        int status;
        struct rusage usage;
        wait4(child, &status, 0, &usage);
        long user = usage.ru_utime.tv_sec * 1000 + usage.ru_utime.tv_usec / 1000;
        long kernel = usage.ru_stime.tv_sec * 1000 + usage.ru_stime.tv_usec / 1000;
        printf("%d %ld\n", status, user + kernel);
        fflush(stdout);
    }
    _exit(0);
}

/* Without the destructors of the libraries, which take longer than most tests. */
void exit(int code) {
    fflush(NULL);
    _exit(code);
}

int __libc_start_main(main_function own, int argc, char **argv, void (*init)(void), void (*fini)(void),
                      void (*loader)(void), void *stack) {
    typedef int (*start)(main_function, int, char **, void (*)(void), void (*)(void), void (*)(void), void *);
    start real = (start)dlsym(RTLD_NEXT, "__libc_start_main");
    unsetenv("LD_PRELOAD");
    real_main = own;
    return real(serve, argc, argv, init, fini, loader, stack);
}
