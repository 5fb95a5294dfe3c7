"""The words that the guard knows. Everything else in a question counts as what it is about."""

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _by_word(**names: str) -> dict[str, str]:
    """The name of each word."""
    return {word: name for name, words in names.items() for word in words.split()}


def _counted(text: str, *, first: int, step: int = 1) -> dict[str, int]:
    """The number that each word stands for."""
    return {word: first + step * place for place, word in enumerate(text.split())}


GENERIC: Final = _words(
    """
    a an the this that these those there here it its itself i me my mine myself we us our ours you your yours they them
    their theirs one ones someone somebody anyone everyone people person persons patient patients individual
    individuals what which how whether is are was were be been being am do does did doing
    done have has had having can could may might must shall should will would ca wo ought let of for to in on at by
    with from into onto about as and or but if than then so such also just only even still yet too very really quite
    rather actually basically currently lately recently usually sometimes please kindly tell explain describe
    discuss give provide list define outline summarize elaborate understand understanding know knowing learn want
    wants need needs needed would get gets getting got go goes going come make makes made take use used uses
    using find look seem seems say says said ask asking wonder wondering think feel feels feeling suppose mean means
    meaning called information info detail details more overview some any each every both other others another same
    different several various few lot lots etc eg ie vs hi hello hey dear doctor doctors dr doc sir madam
    thanks thank sorry ok okay yes well question questions answer answers answered help helpful helps advice advise
    suggest suggestion suggestions recommend recommendation recommendations recommended available possible possibly
    likely able way ways thing things something anything everything
    experiencing experience experienced suffering suffer suffers suffered noticed notice noticing diagnosed condition
    conditions disease diseases disorder disorders problem problems issue issues involve involved involves include
    includes including included relate related associated associate particular specific certain main general now ago
    since while during because however although
    """
)
"""Words that do not change what is asked: grammar, courtesy and the wording of requests."""

SAME_WORD: Final = _by_word(
    treat="treat treats treated treating treatment treatments therapy therapies manage manages managed management",
    symptom="symptom symptoms sign signs manifestation manifestations",
    cause="cause causes caused causing etiology reason reasons why",
    kind="kind kinds type types sort sorts form forms",
    who="who whom whose",
    diagnose="diagnose diagnoses diagnosis diagnosing diagnostic",
    prevent="prevent prevents prevented preventing prevention preventive",
    inherit="inherit inherits inherited inheritance hereditary heritable",
    outlook="outlook prognosis",
)
"""Words of one meaning, by the name that they get."""

NEGATIONS: Final = _words(
    "not no never none nothing without neither nor except excluding unable lack lacks lacking absence absent denies "
    "deny denied non false incorrect wrong unlikely least"
)
UNAPOSTROPHED: Final = {
    word: f"{word.removesuffix('nt')} not"
    for word in _words(
        "dont doesnt didnt isnt arent wasnt werent havent hasnt hadnt cant couldnt shouldnt wouldnt wont"
    )
}
"""Contractions as they are typed in haste."""

MALE: Final = _words("man men male males boy boys gentleman he him his himself husband father son brother boyfriend mr")
FEMALE: Final = _words(
    "woman women female females girl girls lady ladies she her hers herself wife mother mom mum daughter sister "
    "girlfriend mrs ms"
)
AGE_GROUPS: Final = _by_word(
    newborn="newborn newborns neonate neonates neonatal",
    infant="infant infants infancy baby babies",
    toddler="toddler toddlers",
    child="child children childhood kid kids pediatric pediatrics",
    adolescent="adolescent adolescents adolescence teen teens teenager teenagers",
    adult="adult adults adulthood",
    elderly="elderly older senior seniors geriatric geriatrics",
)

NUMBERS: Final[dict[str, float]] = {
    **_counted(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty",
        first=0,
    ),
    **_counted("thirty forty fifty sixty seventy eighty ninety", first=30, step=10),
    **_counted("first second third fourth fifth sixth", first=1),
    **_counted("once twice thrice", first=1),
    **_counted("single double triple", first=1),
    "half": 0.5,
    "hundred": 100,
}
ROMAN: Final = _counted("i ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii", first=1)
RANKED: Final = "type|types|stage|grade|class|phase|factor|category|group|nerve|degree|level|part|step|version"
"""Words before a number or a Roman numeral that ranks something: type II, stage 3."""

UNITS: Final[dict[str, tuple[float, str]]] = {
    **dict.fromkeys(("mg", "mgs", "milligram", "milligrams"), (1, "mg")),
    **dict.fromkeys(("g", "gm", "gms", "gram", "grams"), (1e3, "mg")),
    **dict.fromkeys(("kg", "kgs", "kilo", "kilos", "kilogram", "kilograms"), (1e6, "mg")),
    **dict.fromkeys(("mcg", "ug", "microgram", "micrograms"), (1e-3, "mg")),
    **dict.fromkeys(("ng", "nanogram", "nanograms"), (1e-6, "mg")),
    **dict.fromkeys(("lb", "lbs", "pound", "pounds"), (1, "lb")),
    **dict.fromkeys(("ml", "milliliter", "milliliters", "millilitre", "millilitres", "cc"), (1, "ml")),
    **dict.fromkeys(("l", "liter", "liters", "litre", "litres"), (1e3, "ml")),
    **dict.fromkeys(("dl", "deciliter", "deciliters"), (1e2, "ml")),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), (1, "mm")),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), (10, "mm")),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), (1e3, "mm")),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), (1, "s")),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), (60, "s")),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), (3600, "s")),
    **dict.fromkeys(("day", "days"), (86400, "s")),
    **dict.fromkeys(("week", "weeks", "wk", "wks"), (604800, "s")),
    **dict.fromkeys(("month", "months", "mo"), (1, "month")),
    **dict.fromkeys(("year", "years", "yr", "yrs"), (12, "month")),
    **dict.fromkeys(("%", "percent", "per cent"), (1, "%")),
    **dict.fromkeys(("iu", "unit", "units"), (1, "unit")),
    **dict.fromkeys(("mmhg",), (1, "mmhg")),
    **dict.fromkeys(("mmol",), (1, "mmol")),
    **dict.fromkeys(("umol", "micromol"), (1e-3, "mmol")),
    **dict.fromkeys(("mol",), (1e3, "mmol")),
    **dict.fromkeys(("meq", "mequiv"), (1, "meq")),
    **dict.fromkeys(("bpm", "rpm"), (1, "per minute")),
    **dict.fromkeys(("f", "°f", "fahrenheit"), (1, "°f")),
    **dict.fromkeys(("c", "°c", "celsius"), (1, "°c")),
    **dict.fromkeys(("kcal", "kcals", "calorie", "calories"), (1, "kcal")),
    **dict.fromkeys(("tablet", "tablets", "pill", "pills", "capsule", "capsules"), (1, "piece")),
    **dict.fromkeys(("time", "times"), (1, "times")),
}
"""Units that the guard can tell apart, each as so many of a base unit."""

DIRECTED: Final = _words(
    "cause lead leads leading result results trigger triggers affect affects increase increases decrease decreases "
    "reduce reduces worsen worsens improve improves prevent treat mimic after before to than over into"
)
"""Words between two things of which it matters which comes first."""
