"""Rules: samples -> transitions. Pure: no clock, no I/O; time comes in as an argument.

The map, from the inside out:

| module         | what it is                                                                             |
|----------------|----------------------------------------------------------------------------------------|
| `spec`         | what a rule is: frozen descriptions, as the site file states them                      |
| `truth`        | the five values a condition can have, and what each may do                             |
| `measure`      | one value -> truth: level with hysteresis, equality, bit, rate                         |
| `condition`    | a rule's tree of comparisons, kept up to date scan by scan                             |
| `window`       | k of n within a time                                                                   |
| `motion`       | does a value move: changed, frozen                                                     |
| `edges` `order`| over the past of other conditions: held, n times, in this order, one without the other |
| `keep`         | a latch with its own reset; what was true at a moment                                  |
| `calendar`     | a schedule; `clocks` tells it the wall time                                            |
| `expression`   | a free expression over several points                                                  |
| `virtual`      | points that are computed from others                                                   |
| `timing`       | on-delay and off-delay: from a condition to "active" or "not active"                   |
| `lifecycle`    | the standard's table of states and events, and its picture                             |
| `aside`        | what hides an alarm for a time: a person, or its design                                |
| `evidence`     | what a rule looked at when it moved                                                    |
| `alarm`        | one alarm: condition + timing + life cycle, and what of it survives a restart          |
| `agenda`       | which alarm is due next                                                                |
| `standing`     | how an alarm stands, for those who look                                                |
| `engine`       | all alarms of a site: which scan concerns whom, commands, what must be committed       |
| `series`       | what a point says over time, in one line: the notation of rule tests                   |
| `scenario`     | a test of rules as data, and how it is played                                          |
| `reach`        | can a condition ever be true, given what its points can say?                           |
| `flood`        | more new alarms than anybody can look at: what is grouped then                         |
| `load`         | marks and rates: first-out, chattering, fleeting, what the alarms ask of people         |
| `texts`        | what a person reads: the alarm with its place, why a command was refused               |
"""
