//! What the shop sells.

/// Number of departments, a ring.
pub(super) const NUM_DEPARTMENTS: usize = 10;
/// Number of kinds in a department's series.
pub(super) const NUM_STEPS: usize = 5;
/// Number of styles of a kind.
pub(super) const NUM_STYLES: usize = 10;
/// Number of kinds.
pub(super) const NUM_KINDS: usize = NUM_DEPARTMENTS * NUM_STEPS;
/// Number of products.
pub(super) const NUM_PRODUCTS: usize = NUM_KINDS * NUM_STYLES;

/// Departments in ring order, most popular first, each with its series.
pub(super) const DEPARTMENTS: [(&str, [&str; NUM_STEPS]); NUM_DEPARTMENTS] = [
    (
        "coffee",
        [
            "hand coffee grinder",
            "pour-over coffee dripper",
            "gooseneck kettle",
            "coffee scale",
            "espresso machine",
        ],
    ),
    ("baking", ["mixing bowl", "rolling pin", "cake tin", "piping bag set", "stand mixer"]),
    (
        "gardening",
        ["seed starter tray", "garden trowel", "watering can", "pruning shears", "raised planter"],
    ),
    ("camping", ["sleeping bag", "dome tent", "camping stove", "headlamp", "folding camp chair"]),
    (
        "photography",
        ["camera strap", "camera tripod", "camera bag", "lens filters", "photo printer"],
    ),
    (
        "painting",
        ["sketchbook", "watercolor paints", "paint brushes", "artist easel", "canvas panels"],
    ),
    ("music", ["ukulele", "clip-on tuner", "guitar stand", "metronome", "practice amplifier"]),
    ("yoga", ["yoga mat", "yoga block", "meditation cushion", "foam roller", "resistance bands"]),
    (
        "running",
        ["running shoes", "running socks", "hydration belt", "running jacket", "sports watch"],
    ),
    ("cycling", ["bike helmet", "bike lights", "bike pump", "bike pannier", "cycling computer"]),
];

/// Styles, most popular first: name, brand, words of which a title holds two.
pub(super) const STYLES: [(&str, &str, [&str; 3]); NUM_STYLES] = [
    ("minimalist", "Nordlys", ["minimalist", "plain white", "Scandinavian"]),
    ("rugged", "Ironpeak", ["rugged", "heavy-duty", "shockproof"]),
    ("eco", "Greenleaf", ["eco-friendly", "bamboo", "recycled"]),
    ("vintage", "Hartwell", ["vintage", "retro", "antique brass"]),
    ("luxury", "Aurelia", ["luxury", "gold-trimmed", "designer"]),
    ("kids", "Pippo", ["kids", "cartoon dinosaur", "toddler"]),
    ("smart", "Connexa", ["smart", "Bluetooth", "app-controlled"]),
    ("travel", "Wayfold", ["travel-size", "foldable", "pocket"]),
    ("floral", "Petalune", ["floral", "pastel pink", "rose-pattern"]),
    ("neon", "Voltra", ["neon", "fluorescent yellow", "glow-in-the-dark"]),
];
