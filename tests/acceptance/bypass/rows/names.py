"""Client ids and user names: what they may not hold, and whose they are."""

from tests.acceptance.bypass.company import token_of
from tests.acceptance.bypass.connections import Connect, TakeOver
from tests.acceptance.bypass.questions import Ask, LogIn
from tests.acceptance.bypass.row import Row, row, rows
from tests.acceptance.bypass.ways import Way

LONGEST = "amy" + 253 * "_"
"""256 bytes, and amy's."""

_CLIENT = LogIn(client_id="amy_pc")
_EMP = LogIn(client_id="emp_1_web", username="emp_1", secret=token_of("emp_1"))

CLIENT_IDS: list[Row] = [
    *rows(Way.WILDCARD_IN_CLIENT_ID, _CLIENT, "client_id", {"+": "amy_+", "#": "amy_#", "+ alone": "+"}),
    *rows(
        Way.LEVEL_IN_CLIENT_ID,
        _CLIENT,
        "client_id",
        {
            "a level": "amy_pc/x",
            "another's level": "amy_/ben_pc",
            "dots": "amy_/../ben",
            "/ at the end": "amy_pc/",
        },
    ),
    *rows(Way.DOLLAR_IN_CLIENT_ID, _CLIENT, "client_id", {"$": "$amy_pc", "a share": "$share/g/amy_pc"}),
    *rows(
        Way.NUL,
        _CLIENT,
        "client_id",
        {"NUL in a client id": "amy_\0", "NUL behind another's": "ben\0amy_pc", "NUL before it": "\0amy_pc"},
    ),
    *rows(
        Way.OVER_LONG,
        LogIn(client_id=LONGEST),
        "client_id",
        {"a client id of 257 bytes": LONGEST + "x", "of 256 characters, 257 bytes": LONGEST[:-1] + "é"},
    ),
    *rows(
        Way.UNDERSCORES,
        LogIn(client_id=LONGEST),
        "client_id",
        {"in a body that is read": "amy" + 60_000 * "_", "64 KiB": "amy" + 65_536 * "_"},
    ),
    row(Way.UNDERSCORES, "over MQTT", Connect(LONGEST), client_id="amy" + 65_532 * "_"),
    *rows(
        Way.FOREIGN_CLIENT_ID,
        _CLIENT,
        "client_id",
        {
            "another's": "ben_pc",
            "another's id itself": "ben",
            "of a longer employee id": "amy_b_pc",
            "of a longer employee id, itself": "amy_b",
            "registered for another by a prefix": "sensor-1",
            "registered for another": "phone7",
            "nobody's": "stray",
            "empty": "",
            "the gateway's": "gate_1",
            "a line break behind it": "amy_pc\n",
            "a line break before another's": "amy_pc\r\nben_pc",
            "the delete character": "amy_\x7f",
            "a control character of C1": "amy_\x85",
            "SQL in it": "amy' OR '1'='1",
            "a wildcard of SQL": "am%_pc",
            "another wildcard of SQL": "___",
            "a placeholder": "${username}",
        },
    ),
    *rows(
        Way.FOREIGN_CLIENT_ID,
        LogIn(client_id="meter-7"),
        "client_id",
        {"a registered prefix without its end": "meter7", "half a registered prefix": "mete-7"},
    ),
    row(
        Way.FOREIGN_CLIENT_ID,
        "asked for in a session of one's own",
        Ask(employee_id="amy"),
        client_id="ben_pc",
    ),
    row(Way.FOREIGN_CLIENT_ID, "over MQTT", Connect(), client_id="ben_x"),
    row(Way.FOREIGN_CLIENT_ID, "made up by the broker", Connect(), client_id=""),
    row(Way.FOREIGN_CLIENT_ID, "not UTF-8", Connect(), client_id=b"amy_\xff"),
    *rows(
        Way.PREFIX,
        _EMP,
        "client_id",
        {
            "emp_10_web": "emp_10_web",
            "empX1_a": "empX1_a",
            "emp_1web": "emp_1web",
            "emp_1-web": "emp_1-web",
            "emp_1.web": "emp_1.web",
            "emp_": "emp_",
            "emp": "emp",
            "emp_11": "emp_11",
            "emp__1_web": "emp__1_web",
        },
    ),
    row(
        Way.PREFIX,
        "over MQTT",
        Connect("emp_1_web", "emp_1", token_of("emp_1")),
        client_id="emp_10_web",
    ),
    *rows(Way.CASE, _CLIENT, "client_id", {"of a client id": "Amy_pc", "all of a client id": "AMY_pc"}),
    *rows(
        Way.LOOK_ALIKE,
        _CLIENT,
        "client_id",
        {
            "Cyrillic in a client id": "аmy_pc",
            "wide letters in a client id": "ａｍｙ_pc",
            "a wide _": "amy＿pc",
        },
    ),
    *rows(
        Way.COMBINING,
        _CLIENT,
        "client_id",
        {"on a client id": "amy\u0301_pc", "an invisible sign in it": "am\u200dy_pc"},
    ),
    row(Way.FOREIGN_SESSION_BEFORE, "then the owner comes", TakeOver("amy_s1"), client_id="ben_s1"),
    row(
        Way.FOREIGN_SESSION_AFTER,
        "while the owner is away",
        TakeOver("amy_s2", "offline"),
        client_id="ben_s2",
    ),
    row(
        Way.FOREIGN_SESSION_AFTER,
        "while the owner is there",
        TakeOver("amy_s3", "online"),
        client_id="ben_s3",
    ),
]

USER_NAMES: list[Row] = [
    *rows(Way.WILDCARD_IN_USER_NAME, _CLIENT, "username", {"+": "amy+", "#": "#", "+ alone": "+"}),
    *rows(Way.LEVEL_IN_USER_NAME, _CLIENT, "username", {"a level": "amy/ben", "/ at the end": "amy/"}),
    *rows(Way.DOLLAR_IN_USER_NAME, _CLIENT, "username", {"$": "$amy", "$SYS": "$SYS"}),
    *rows(Way.NUL, _CLIENT, "username", {"in a user name": "amy\0", "and another's name": "amy\0ben"}),
    *rows(Way.OVER_LONG, _CLIENT, "username", {"a user name of 201 bytes": "amy" + 198 * "x"}),
    *rows(Way.CASE, _CLIENT, "username", {"of a user name": "Amy", "all of a user name": "AMY"}),
    *rows(
        Way.LOOK_ALIKE,
        _CLIENT,
        "username",
        {"Cyrillic in a user name": "аmy", "wide letters in a user name": "ａｍｙ", "a wide @": "amy＠mchat"},
    ),
    *rows(Way.COMBINING, _CLIENT, "username", {"on a user name": "amy\u0301"}),
    *rows(
        Way.LITERAL, _CLIENT, "username", {"the user name": "${username}", "and its end": "amy${username}"}
    ),
    *rows(
        Way.USER_NAME,
        _CLIENT,
        "username",
        {
            "empty": "",
            "a blank behind it": "amy ",
            "a line break behind it": "amy\n",
            "a service where there is none": "amy@mchat",
            "a service without a name": "amy@",
            "only a service": "@amy",
            "another's": "ben",
            "SQL in it": "amy' OR '1'='1",
        },
    ),
    *rows(
        Way.USER_NAME,
        LogIn(service="named", username="amy@mchat"),
        "username",
        {
            "another service": "amy@other",
            "the service in capitals": "amy@MCHAT",
            "the service twice": "amy@mchat@mchat",
            "no service behind the sign": "amy@",
            "more than the service": "amy@mchat.x",
        },
    ),
]

ROWS: list[Row] = CLIENT_IDS + USER_NAMES
