"""The site file as the daemon understands it; `gateway.config.load` is the door. pydantic lives here and nowhere else.

| module       | what it is                                                             |
|--------------|------------------------------------------------------------------------|
| `yaml_lines` | strict YAML with the line of every value                               |
| `schema`     | the shape of the file: keys, types, limits, what each means            |
| `words`      | every mistake in Chinese and English, with the nearest known word      |
| `template`   | device templates: the points of one model as data                      |
| `devices`    | buses and devices: addresses, templates, periods                       |
| `rules`      | conditions and alarms: `when:` becomes `rules.spec`                    |
| `limits`     | whether a condition can come true and end: ranges, periods, hysteresis |
| `scenarios`  | scenario files: tests of a site's rules become `rules.scenario`       |
| `roles`      | classes of devices and roles of points: how a library's rule finds them |
| `library`    | the rule library's files: their shape and reading                       |
| `expansion`  | a rule and a device become an alarm as the file could have it           |
| `chosen`     | what a site switches on, changes and leaves out of the library          |
| `reference`  | docs/site-file.md and the JSON Schema, from the same declarations      |
"""
