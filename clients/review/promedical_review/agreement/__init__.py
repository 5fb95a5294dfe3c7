"""How far raters agree, measured on what they said before anybody adjudicated. It reads verdicts and writes nothing."""
