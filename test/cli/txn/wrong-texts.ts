// Texts that are no transactions, with what is said about them: the place, the message and the hint.

import { NESTING_MAX } from '../../../src/cli/txn/json-types.ts'
import { parseTxn } from '../../../src/cli/txn/parser.ts'
import { TxnSyntaxError } from '../../../src/cli/txn/syntax-error.ts'

const FILES: Readonly<Record<string, Uint8Array>> = {
  'app.conf': Buffer.from('a=1\n'),
  'my file.bin': Buffer.from([0, 255]),
}

export function readFile(path: string): Uint8Array {
  const content = FILES[path]
  if (content !== undefined) return content
  throw Object.assign(new Error(`ENOENT: ${path}`), { errno: -2, syscall: 'open' })
}

export function errorOf(text: string): TxnSyntaxError {
  try {
    parseTxn(text, readFile)
  } catch (error) {
    if (error instanceof TxnSyntaxError) return error
    throw error
  }
  throw new Error(`accepted: ${text}`)
}

// ---------------------------------------------------------------------------------------------------------------------
// In the language

const AFTER_PUT = 'expected `lease`, `ttl`, `prev` or the end of the line'
const AFTER_GET = 'expected `limit`, `keys-only`, `count-only` or the end of the line'
const SPACES_IN_VALUE = 'A value with spaces is written in double quotes.'
const TWO_KEYS = 'A key with spaces is written in double quotes; a range is `prefix P` or `range FIRST END`.'
const BRACKETS = 'A word with brackets is written in double quotes.'
const SAME_NAME = 'A key of this name is written in double quotes.'
const NO_END = 'A range without an end is written `from KEY`.'
const COMMENT = 'A word that begins with # is a comment unless it is in double quotes.'
const OWN_LINE = 'Each comparison has a line of its own; a value with spaces is written in double quotes.'
const ONE_KEY =
  'It is about one key; a key of this name is written in double quotes. `version(prefix P) = 0` holds if no key begins with P.'
const FILE = 'A value that begins with @ but names no file is written in double quotes.'
const DURATION = 'expected a duration (a number with ms, s, m or h, like 30s)'
const LEASE = 'expected a lease id (decimal digits, below 2^64, not 0)'
const LEASE_OR_NONE = 'expected a lease id (decimal digits, below 2^64; 0: no lease)'
const NUMBER = 'expected a whole number from 0 to 2^53 - 1'
const UNQUOTED = 'It is written without quotes.'
const QUOTES = (quote: string) =>
  `Strings are written "…". A word with a quote in it is written in double quotes: "…${quote}…".`

type Wrong = readonly [text: string, place: string, message: string, hint?: string]

const SECTIONS: readonly Wrong[] = [
  ['', '1:1', 'expected `then`, found the end of the text'],
  ['\n# nothing\n', '3:1', 'expected `then`, found the end of the text'],
  ['exists a', '1:9', 'expected `then`, found the end of the text'],
  ['then get a', '1:6', 'expected the end of the line, found `get`', 'Each operation has a line of its own.'],
  [
    'then\nelse get a',
    '2:6',
    'expected the end of the line, found `get`',
    'Each operation has a line of its own.',
  ],
  ['then\nthen', '2:1', 'expected an operation or `else`, found `then`', 'A transaction has one `then`.'],
  ['then\nelse\nelse', '3:1', 'expected an operation, found `else`', 'A transaction has one `else`.'],
  [
    'exists a\nelse',
    '2:1',
    'expected a comparison or `then`, found `else`',
    'A line `then` comes before `else`; there may be nothing between them.',
  ],
  ['put a b', '1:1', 'expected a comparison or `then`, found `put`', 'Operations come after a line `then`.'],
  [
    'then\n  exists a',
    '2:3',
    'expected an operation or `else`, found `exists`',
    'Comparisons come before `then`. A transaction in this one, `txn {`, has comparisons of its own.',
  ],
  [
    'if exists a',
    '1:1',
    'expected a comparison or `then`, found `if`',
    'Comparisons have no `if`: they are the lines before `then`.',
  ],
  ['mod("a") > "0"', '1:1', 'expected a comparison or `then`, found `mod`', 'Did you mean `mod_revision`?'],
  [
    'create(a) = 0',
    '1:1',
    'expected a comparison or `then`, found `create`',
    'Did you mean `create_revision`?',
  ],
  ['val(a) = 0', '1:1', 'expected a comparison or `then`, found `val`', 'Did you mean `value`?'],
  ['success', '1:1', 'expected a comparison or `then`, found `success`', 'Did you mean `then`?'],
  ['constructor', '1:1', 'expected a comparison or `then`, found `constructor`'],
  ['"then"', '1:1', 'expected a comparison or `then`, found the string `then`'],
  ['=', '1:1', 'expected a comparison or `then`, found `=`'],
  [
    '# JSON\n{"compare":[]}',
    '2:1',
    'expected a comparison or `then`, found `{`',
    'A transaction in JSON begins with `{`: nothing comes before it, not even a comment.',
  ],
  ['then\nPUT a b', '2:1', 'expected an operation or `else`, found `PUT`', 'Did you mean `put`?'],
  ['then\ndel a', '2:1', 'expected an operation or `else`, found `del`', 'Did you mean `delete`?'],
  ['then\nset a b', '2:1', 'expected an operation or `else`, found `set`', 'Did you mean `put`?'],
  ['then\nfailure', '2:1', 'expected an operation or `else`, found `failure`', 'Did you mean `else`?'],
  ['then\nelse\nfailure', '3:1', 'expected an operation, found `failure`'],
]

const NESTED: readonly Wrong[] = [
  [
    `then\n${'txn {\nthen\n'.repeat(NESTING_MAX + 1)}`,
    `${2 * NESTING_MAX + 2}:5`,
    'expected at most 64 transactions in one another, found one more',
  ],
  ['then\ntxn', '2:4', 'expected `{`, found the end of the line'],
  ['then\ntxn a', '2:5', 'expected `{`, found `a`'],
  [
    'then\ntxn { get a }',
    '2:7',
    'expected the end of the line, found `get`',
    'What is between the brackets has lines of its own.',
  ],
  [
    'then\n{\n}',
    '2:1',
    'expected an operation or `else`, found `{`',
    'A transaction in this one begins with a line `txn {`.',
  ],
  [
    'then\n}',
    '2:1',
    'expected an operation or `else`, found `}`',
    'There is no `txn {` that it could close.',
  ],
  ['then\ntxn {\nthen\n} b', '4:3', 'expected the end of the line, found `b`'],
  [
    'then\ntxn {\n}',
    '3:1',
    'expected a comparison or `then`, found `}`',
    'A line `then` comes before `}`; there may be nothing between them.',
  ],
  ['then\ntxn {\nthen\nx', '4:1', 'expected an operation, `else` or `}`, found `x`'],
  ['then\ntxn {\nthen\nelse\nx', '5:1', 'expected an operation or `}`, found `x`'],
  [
    'then\n\ntxn {\nthen\nget a',
    '5:6',
    'expected `}`, found the end of the text',
    'The transaction that begins in line 3 is not closed with a line `}`.',
  ],
  [
    'then\ntxn {\n',
    '3:1',
    'expected `then`, found the end of the text',
    'The transaction that begins in line 2 is not closed with a line `}`.',
  ],
]

const COMPARISONS: readonly Wrong[] = [
  ['value a = b', '1:7', 'expected `(`, found `a`'],
  ['value()', '1:7', 'expected a key, found `)`', BRACKETS],
  ['value("") = b', '1:7', 'expected a key, found the empty string', 'A key has at least one byte.'],
  ['value(a b) = c', '1:9', 'expected `)`, found `b`'],
  ['value(a', '1:8', 'expected `)`, found the end of the line'],
  ['value(prefix) = a', '1:13', 'expected a prefix, found `)`', SAME_NAME],
  ['value(range a) = b', '1:14', 'expected the end of the range (exclusive), found `)`', NO_END],
  [
    'value(range a "") = b',
    '1:15',
    'expected the end of the range (exclusive), found the empty string',
    NO_END,
  ],
  ['value(range', '1:12', 'expected the first key of the range, found the end of the line', SAME_NAME],
  ['value(a)', '1:9', 'expected `=`, `!=`, `<` or `>`, found the end of the line'],
  ['value(a) is b', '1:10', 'expected `=`, `!=`, `<` or `>`, found `is`'],
  ['value(a) == b', '1:10', 'expected `=`, `!=`, `<` or `>`, found `==`', 'Did you mean `=`?'],
  ['value(a) <> b', '1:10', 'expected `=`, `!=`, `<` or `>`, found `<>`', 'Did you mean `!=`?'],
  [
    'version(a)>=5',
    '1:11',
    'expected `=`, `!=`, `<` or `>`, found `>=`',
    'For whole numbers `> 4` says the same as `>= 5`.',
  ],
  [
    'version(a) <= 5',
    '1:12',
    'expected `=`, `!=`, `<` or `>`, found `<=`',
    'For whole numbers `< 6` says the same as `<= 5`.',
  ],
  ['value(a) =', '1:11', 'expected a value, found the end of the line'],
  ['value(a) = b c', '1:14', 'expected the end of the line, found `c`', OWN_LINE],
  ['value(a) = [1]', '1:12', 'expected a value, found `[`', BRACKETS],
  ['version(a) = ', '1:14', `${NUMBER}, found the end of the line`],
  ['version(a) = one', '1:14', `${NUMBER}, found \`one\``],
  ['version(a) = -1', '1:14', `${NUMBER}, found \`-1\``],
  ['version(a) = "0"', '1:14', `${NUMBER}, found the string \`0\``, UNQUOTED],
  ['version(a) = 9007199254740992', '1:14', `${NUMBER}, found \`9007199254740992\``],
  ['lease(a) = none', '1:12', `${LEASE_OR_NONE}, found \`none\``],
  ['lease(a) = "5"', '1:12', `${LEASE_OR_NONE}, found the string \`5\``, UNQUOTED],
  ['lease(a) = 18446744073709551616', '1:12', `${LEASE_OR_NONE}, found \`18446744073709551616\``],
  ['exists', '1:7', 'expected a key, found the end of the line'],
  ['exists prefix a', '1:8', 'expected a single key, found `prefix`', ONE_KEY],
  ['missing range a b', '1:9', 'expected a single key, found `range`', ONE_KEY],
  [
    'exists a b',
    '1:10',
    'expected the end of the line, found `b`',
    'Each comparison has a line of its own; a key with spaces is written in double quotes.',
  ],
]

const OPERATIONS: readonly Wrong[] = [
  ['then\nput', '2:4', 'expected a key, found the end of the line'],
  ['then\nput a', '2:6', 'expected a value, found the end of the line'],
  ['then\nput a #1', '2:7', 'expected a value, found a comment', COMMENT],
  [
    'then\nput prefix a b',
    '2:5',
    'expected a single key, found `prefix`',
    'A put is of one key; a key of this name is written in double quotes.',
  ],
  ['then\nput a b c', '2:9', `${AFTER_PUT}, found \`c\``, SPACES_IN_VALUE],
  ['then\nput a b "c"', '2:9', `${AFTER_PUT}, found the string \`c\``],
  ['then\nput a b prv', '2:9', `${AFTER_PUT}, found \`prv\``, `Did you mean \`prev\`? ${SPACES_IN_VALUE}`],
  ['then\nput a b --prev', '2:9', `${AFTER_PUT}, found \`--prev\``, 'Options are words without dashes.'],
  ['then\nput a b(c)', '2:8', `${AFTER_PUT}, found \`(\``, BRACKETS],
  ['then\nput a {"b":1}', '2:7', 'expected a value, found `{`', BRACKETS],
  ['then\nput a b lease', '2:14', `${LEASE}, found the end of the line`],
  ['then\nput a b lease 0', '2:15', `${LEASE}, found \`0\``],
  ['then\nput a b lease 694d71ddacfda227', '2:15', `${LEASE}, found \`694d71ddacfda227\``],
  ['then\nput a b lease "7"', '2:15', `${LEASE}, found the string \`7\``, UNQUOTED],
  ['then\nput a b ttl 30', '2:13', `${DURATION}, found \`30\``],
  ['then\nput a b ttl "30s"', '2:13', `${DURATION}, found the string \`30s\``, UNQUOTED],
  [
    'then\nput a b ttl 30s lease 1',
    '2:17',
    'expected `prev` or the end of the line, found `lease`',
    '`ttl` and `lease` exclude each other.',
  ],
  [
    'then\nput a b lease 1 lease 2',
    '2:17',
    'expected `prev` or the end of the line, found `lease`',
    '`lease` is given already.',
  ],
  ['then\nput a b ttl 30s c', '2:17', 'expected `prev` or the end of the line, found `c`'],
  ['then\nget', '2:4', 'expected a key, found the end of the line'],
  ['then\nget ""', '2:5', 'expected a key, found the empty string', 'A key has at least one byte.'],
  ['then\nget prefix', '2:11', 'expected a prefix, found the end of the line', SAME_NAME],
  [
    'then\nget before ""',
    '2:12',
    'expected the end of the range (exclusive), found the empty string',
    NO_END,
  ],
  ['then\nget a b', '2:7', `${AFTER_GET}, found \`b\``, TWO_KEYS],
  ['then\nget --prefix a', '2:14', `${AFTER_GET}, found \`a\``, 'Options are words without dashes.'],
  ['then\nget a limit 0', '2:13', 'expected a whole number from 1 to 2^53 - 1, found `0`'],
  [
    'then\nget a keys-only count-only',
    '2:17',
    'expected `limit` or the end of the line, found `count-only`',
    '`keys-only` and `count-only` exclude each other.',
  ],
  [
    'then\nget @"app.conf"',
    '2:5',
    'expected a key, found the file `app.conf`',
    'Only a value can come from a file.',
  ],
  ['then\ndelete a limit 1', '2:10', 'expected `prev` or the end of the line, found `limit`', TWO_KEYS],
  [
    'then\ndelete a prev prev',
    '2:15',
    'expected the end of the line, found `prev`',
    '`prev` is given already.',
  ],
]

const WORDS: readonly Wrong[] = [
  ["then\nput a 'b c'", '2:7', "expected a word or a string in double quotes, found '", QUOTES("'")],
  ["then\nput a don't", '2:10', "expected a word or a string in double quotes, found '", QUOTES("'")],
  ['then\nput a “b”', '2:7', 'expected a word or a string in double quotes, found “', QUOTES('“')],
  ['then\nput a b"c"', '2:8', 'expected a word or a string in double quotes, found "', QUOTES('\\"')],
  ['then\nput a "b"c', '2:10', 'expected a space after the string, found `c`'],
  ['then\nput a @"b"c', '2:11', 'expected a space after the string, found `c`'],
  [
    'then\nput a\u00a0b c',
    '2:6',
    'expected a word, found the character U+00A0',
    'In double quotes it is written \\u00a0.',
  ],
  [
    'then\nput 😀 \u001b[A',
    '2:7',
    'expected a word, found the character U+001B',
    'In double quotes it is written \\u001b.',
  ],
  [
    'then\rget a',
    '1:5',
    'expected a word, found the character U+000D',
    'In double quotes it is written \\u000d.',
  ],
  ['then\nput a \ud800', '2:7', 'expected text, found half of a surrogate pair', 'It has no UTF-8.'],
  ['then\nput a "b\ud800"', '2:8', 'expected text, found half of a surrogate pair', 'It has no UTF-8.'],
  [
    'then\nput a "my\nvalue"',
    '2:10',
    'expected `"`, found the end of the line: the string `"my` is not closed',
    'A line end in a string is written \\n.',
  ],
  [
    'then\nput a "b\tc"',
    '2:9',
    'expected text, found the control character U+0009',
    'In a string it is written \\t.',
  ],
  [
    'then\nput a "b\u0085c"',
    '2:9',
    'expected text, found the control character U+0085',
    'In a string it is written \\u0085.',
  ],
  [
    'then\nput a "\\q"',
    '2:8',
    'expected an escape (\\ with ", \\, /, b, f, n, r, t, u or x), found `\\q`',
    'A backslash is written \\\\.',
  ],
  [
    'then\nput a "\\',
    '2:8',
    'expected an escape (\\ with ", \\, /, b, f, n, r, t, u or x), found the end of the line',
    'A backslash is written \\\\.',
  ],
  ['then\nput a "\\xg0"', '2:8', 'expected 2 hexadecimal digits after `\\x`, found `g0`'],
  ['then\nput a "\\u12', '2:8', 'expected 4 hexadecimal digits after `\\u`, found `12`'],
  ['then\nput a "\\x', '2:8', 'expected 2 hexadecimal digits after `\\x`, found the end of the line'],
  ...['\\ud800', '\\ude00\\ud83d', '\\ud83dx'].map(
    (half): Wrong => [
      `then\nput a "${half}"`,
      '2:8',
      `expected a surrogate pair, such as \\ud83d\\ude00, found half of one, \`${half.slice(0, 6)}\``,
    ],
  ),
  [
    'then\nput a base64:/w',
    '2:7',
    'expected base64 with padding after `base64:`, found `/w`',
    'A word that begins with base64: but means itself is written in double quotes.',
  ],
  ['then\nget base64:', '2:5', 'expected a key, found `base64:`', 'A key has at least one byte.'],
  [
    'then\nput a @',
    '2:7',
    'expected the name of a file after `@`, found nothing',
    'A value that is a single @ is written in double quotes.',
  ],
  ['then\nput a @no', '2:7', 'expected a file that can be read, found `no`: no such file or directory', FILE],
  [`then\nget a ${'b'.repeat(100)}`, '2:7', `${AFTER_GET}, found \`${'b'.repeat(40)}…\``, TWO_KEYS],
]

// ---------------------------------------------------------------------------------------------------------------------
// In JSON

const put = (fields: string): string => `{"success":[{"put":{${fields}}}]}`
const get = (fields: string): string => `{"success":[{"get":{${fields}}}]}`
const compare = (fields: string): string => `{"compare":[{${fields}}]}`

const PLACE = 'expected either `"key"`, or `"prefix"`, or `"start"` and `"end"`'
const BYTES = 'expected bytes: a string or `{"base64":"…"}`'
const NO_KEY = 'A key has at least one byte.'

const SYNTAX: readonly Wrong[] = [
  ['{', '1:2', 'expected a name in double quotes or `}`, found the end of the text'],
  ['{\n  success: []\n}', '2:3', 'expected a name in double quotes or `}`, found `s`'],
  ['{"success":[],}', '1:15', 'expected a name in double quotes, found `}`'],
  ['{"success"=[]}', '1:11', 'expected `:`, found `=`'],
  ['{"success":}', '1:12', 'expected a value of JSON, found `}`'],
  ['{"success":[],\r\n "failure":[,]}', '2:13', 'expected a value of JSON or `]`, found `,`'],
  ['{"success":[1 2]}', '1:15', 'expected `,` or `]`, found `2`'],
  ['{"success":[1,]}', '1:15', 'expected a value of JSON, found `]`'],
  ['{"success":[] "failure":[]}', '1:15', 'expected `,` or `}`, found `"`'],
  ['{"success":nul}', '1:12', 'expected a value of JSON, found `n`'],
  ['{"success":trueish}', '1:12', 'expected a value of JSON, found `t`'],
  ['{"success":\'a\'}', '1:12', "expected a value of JSON, found `'`"],
  ['{"success":[01]}', '1:14', 'expected `,` or `]`, found `1`'],
  ['{}\n// end', '2:1', 'expected the end of the text, found `/`'],
  ['{"😀":1,"😀":2}', '1:8', 'expected a name once in an object, found `"😀"` twice'],
  [
    '{"success":[{"put":{"key":"a\n"',
    '1:29',
    'expected `"`, found the end of the line: the string `"a` is not closed',
    'A line end in a string is written \\n.',
  ],
  [
    '{"a":"\\xff"}',
    '1:7',
    'expected an escape (\\ with ", \\, /, b, f, n, r, t or u), found `\\x`',
    'A backslash is written \\\\.',
  ],
  [
    `{"a":${'['.repeat(300)}`,
    '1:261',
    'expected at most 256 lists and objects in one another, found one more',
  ],
]

const FORM: readonly Wrong[] = [
  [
    '{"succes":[]}',
    '1:2',
    'expected `"compare"`, `"success"` or `"failure"`, found `"succes"`',
    'Did you mean `"success"`?',
  ],
  ['{"x":[]}', '1:2', 'expected `"compare"`, `"success"` or `"failure"`, found `"x"`'],
  [
    `${'{"success":[{"txn":'.repeat(NESTING_MAX + 1)}{}${'}]}'.repeat(NESTING_MAX + 1)}`,
    `1:${19 * (NESTING_MAX + 1) + 1}`,
    'expected at most 64 transactions in one another, found one more',
  ],
  ['{"success":{}}', '1:12', 'expected a list, found an object'],
  ['{"success":[null]}', '1:13', 'expected an object, found `null`'],
  ['{"success":[[]]}', '1:13', 'expected an object, found a list'],
  [
    '{"success":[{}]}',
    '1:13',
    'expected `"put"`, `"get"`, `"delete"` or `"txn"` in this object, found an empty object',
  ],
  [
    '{"success":[{"get":{"key":"a"},"put":1}]}',
    '1:32',
    'expected one operation in an object, found a second one, `"put"`',
  ],
  [
    '{"success":[{"del":{}}]}',
    '1:14',
    'expected `"put"`, `"get"`, `"delete"` or `"txn"`, found `"del"`',
    'Did you mean `"delete"`?',
  ],
  ['{"success":[{"txn":[]}]}', '1:20', 'expected an object, found a list'],
  [
    compare(''),
    '1:13',
    'expected `"key"`, `"prefix"`, or `"start"` and `"end"` in this object, found an empty object',
  ],
  [compare('"key":"a"'), '1:13', 'expected `"target"` in this object, found only `"key"`'],
  [
    compare('"key":"a","target":"value","to":"b"'),
    '1:13',
    'expected `"op"` in this object, found only `"key"`, `"target"`, `"to"`',
  ],
  [
    compare('"key":"a","target":"valeu"'),
    '1:33',
    'expected `"value"`, `"version"`, `"create_revision"`, `"mod_revision"` or `"lease"`, found the string `valeu`',
  ],
  [
    compare('"key":"a","target":"value","op":">="'),
    '1:46',
    'expected `"="`, `"!="`, `"<"` or `">"`, found the string `>=`',
  ],
  [compare('"key":"a","target":"value","op":"=","to":5'), '1:55', `${BYTES}, found \`5\``],
  [compare('"key":"a","target":"version","op":"=","to":"5"'), '1:57', `${NUMBER}, found the string \`5\``],
  [compare('"key":"a","target":"version","op":"=","to":1.5'), '1:57', `${NUMBER}, found \`1.5\``],
  [
    compare('"key":"a","target":"version","op":"=","to":9007199254740992'),
    '1:57',
    `${NUMBER}, found \`9007199254740992\``,
  ],
  [
    compare('"key":"a","target":"lease","op":"=","to":5'),
    '1:55',
    'expected a lease id (decimal digits in a string, below 2^64; "0": no lease), found `5`',
  ],
  [compare('"key":"a","exists":1'), '1:33', 'expected `true` or `false`, found `1`'],
  [compare('"key":"a","exists":null'), '1:33', 'expected `true` or `false`, found `null`'],
  [compare('"prefix":"a","exists":true'), '1:14', 'expected `"key"` or `"exists"`, found `"prefix"`'],
  [compare('"exists":true'), '1:13', 'expected `"key"` in this object, found only `"exists"`'],
  [
    get(''),
    '1:20',
    'expected `"key"`, `"prefix"`, or `"start"` and `"end"` in this object, found an empty object',
  ],
  [get('"key":"a","prefix":"b"'), '1:31', `${PLACE}, found \`"key"\` and \`"prefix"\``],
  [get('"start":"a","end":"b","key":"c"'), '1:43', `${PLACE}, found \`"start"\` and \`"key"\``],
  [get('"key":""'), '1:27', 'expected a key, found no byte', NO_KEY],
  [get('"key":{"base64":""}'), '1:27', 'expected a key, found no byte', NO_KEY],
  [get('"key":["a"]'), '1:27', `${BYTES}, found a list`],
  [get('"key":{}'), '1:27', 'expected `"base64"` in this object, found an empty object'],
  [
    get('"key":{"base46":"/w=="}'),
    '1:28',
    'expected `"base64"`, found `"base46"`',
    'Did you mean `"base64"`?',
  ],
  [get('"key":{"base64":"/w"}'), '1:37', 'expected base64 with padding, found the string `/w`'],
  [get('"key":{"base64":true}'), '1:37', 'expected base64 with padding, found `true`'],
  [
    get('"end":""'),
    '1:27',
    'expected the end of the range, found no byte',
    'A range without an end has no `"end"`.',
  ],
  [get('"key":"a","limit":0'), '1:39', 'expected a whole number from 1 to 2^53 - 1, found `0`'],
  [get('"key":"a","limit":-1'), '1:39', 'expected a whole number from 1 to 2^53 - 1, found `-1`'],
  [
    get('"key":"a","keys_only":true,"count_only":true'),
    '1:48',
    'expected `"keys_only"` or `"count_only"`, found both',
    'They exclude each other.',
  ],
  [put('"key":"a"'), '1:20', 'expected `"value"` in this object, found only `"key"`'],
  [put('"value":"a"'), '1:20', 'expected `"key"` in this object, found only `"value"`'],
  [
    put('"key":"a","value":"b","lease":"0"'),
    '1:51',
    'expected a lease id (decimal digits in a string, below 2^64, not "0"), found the string `0`',
  ],
  [
    put('"key":"a","value":"b","ttl":30'),
    '1:49',
    'expected a duration (a number with ms, s, m or h, like "30s"), found `30`',
  ],
  [
    put('"key":"a","value":"b","ttl":"30s","lease":"1"'),
    '1:55',
    'expected `"lease"` or `"ttl"`, found both',
    'They exclude each other.',
  ],
]

const named = ([text, place, message, hint]: Wrong) => ({ text, place, message, hint })

export const WRONG_TEXTS = [...SECTIONS, ...NESTED, ...COMPARISONS, ...OPERATIONS, ...WORDS].map(named)
export const WRONG_JSON = [...SYNTAX, ...FORM].map(named)
