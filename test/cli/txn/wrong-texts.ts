// Wrong transactions in the language, each with the place, the message and the hint.

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

const COMPARISON =
  'expected `value`, `version`, `create_revision`, `mod_revision`, `lease`, `exists`, `missing` or `then`'
const AFTER_THEN = 'expected `put`, `get`, `delete`, `txn` or `else`'
const AFTER_PUT = 'expected `lease`, `ttl`, `prev` or the end of the line'
const AFTER_GET = 'expected `limit`, `keys-only`, `count`, `count-only` or the end of the line'
const OPERATOR = 'expected `=`, `!=`, `<` or `>`'
const NUMBER = 'expected a whole number from 0 to 2^53 - 1'
const LEASE = 'expected a lease id (decimal digits, below 2^64, not 0)'
const LEASE_OR_NONE = 'expected a lease id (decimal digits, below 2^64; 0: no lease)'
const DURATION = 'expected a duration (a number with ms, s, m or h, such as 30s)'
const ESCAPE = 'expected an escape (\\", \\\\, \\/, \\b, \\f, \\n, \\r, \\t, \\uNNNN or \\xNN)'
const SPACES = 'a word with spaces is written in double quotes'
const BRACKETS = 'a word with brackets is written in double quotes'
const THEN = 'every transaction has a line `then`'
const SAME_NAME = 'a key of this name is written in double quotes'
const UNQUOTED = 'it is written without quotes'
const QUOTES =
  'quotes and control characters are written in a string in double quotes, such as "a\\"b\\u0007"'
const IN_STRING =
  'a line end in a string is written \\n, and any other control character \\u with four digits'

type Wrong = readonly [text: string, place: string, message: string, hint?: string]

const SECTIONS: readonly Wrong[] = [
  ['', '1:1', `${COMPARISON}, found the end of the text`],
  ['\n# nothing\n', '3:1', `${COMPARISON}, found the end of the text`],
  ['then get a', '1:6', 'expected the end of the line, found `get`'],
  ['then\nthen', '2:1', `${AFTER_THEN}, found \`then\``],
  ['then\nelse\nelse', '3:1', 'expected `put`, `get`, `delete` or `txn`, found `else`'],
  ['exists a\nelse', '2:1', `${COMPARISON}, found \`else\``, THEN],
  ['put a b', '1:1', `${COMPARISON}, found \`put\``, 'operations come after a line `then`'],
  ['constructor', '1:1', `${COMPARISON}, found \`constructor\``],
  ['"then"', '1:1', `${COMPARISON}, found the string \`then\``],
  [
    '# JSON\n{"compare":[]}',
    '2:1',
    `${COMPARISON}, found \`{\``,
    'a transaction in JSON begins with `{`, without a comment before it',
  ],
  ['then\n  exists a', '2:3', `${AFTER_THEN}, found \`exists\``],
]

const NESTED: readonly Wrong[] = [
  [
    `then\n${'txn {\nthen\n'.repeat(64)}`,
    '128:5',
    'expected at most 64 transactions in one another, found one more',
  ],
  ['then\ntxn a', '2:5', 'expected `{`, found `a`'],
  ['then\ntxn { get a }', '2:7', 'expected the end of the line, found `get`'],
  ['then\n}', '2:1', `${AFTER_THEN}, found \`}\``, BRACKETS],
  ['then\ntxn {\nthen\n} b', '4:3', 'expected the end of the line, found `b`'],
  ['then\ntxn {\n}', '3:1', `${COMPARISON}, found \`}\``, THEN],
  ['then\ntxn {\nthen\nelse\nx', '5:1', 'expected `put`, `get`, `delete`, `txn` or `}`, found `x`'],
  [
    'then\n\ntxn {\nthen\nget a',
    '5:6',
    'expected `put`, `get`, `delete`, `txn`, `else` or `}`, found the end of the text',
    'a line `}` closes the transaction that `txn {` begins',
  ],
]

const COMPARISONS: readonly Wrong[] = [
  ['value a = b', '1:7', 'expected `(`, found `a`'],
  ['value() = b', '1:7', 'expected a key, found `)`', BRACKETS],
  ['value("") = b', '1:7', 'expected a key, found the empty string'],
  ['value(a b) = c', '1:9', 'expected `)`, found `b`'],
  ['value(prefix) = a', '1:13', 'expected a prefix, found `)`', BRACKETS],
  ['value(range a "") = b', '1:15', 'expected the end of the range (exclusive), found the empty string'],
  ['value(range\n', '1:12', 'expected the first key of the range, found the end of the line'],
  ['value(a) is b', '1:10', `${OPERATOR}, found \`is\``],
  ['version(a)>=5', '1:11', `${OPERATOR}, found \`>=\``],
  ['value(a) = b c', '1:14', 'expected the end of the line, found `c`', SPACES],
  ['value(a) = [1]', '1:12', 'expected a value, found `[`', BRACKETS],
  ['version(a) = -1', '1:14', `${NUMBER}, found \`-1\``],
  ['version(a) = "0"', '1:14', `${NUMBER}, found the string \`0\``, UNQUOTED],
  ['version(a) = 9007199254740992', '1:14', `${NUMBER}, found \`9007199254740992\``],
  ['lease(a) = none', '1:12', `${LEASE_OR_NONE}, found \`none\``],
  ['lease(a) = 18446744073709551616', '1:12', `${LEASE_OR_NONE}, found \`18446744073709551616\``],
  ['exists prefix a', '1:8', 'expected a single key, found `prefix`', SAME_NAME],
  ['exists a b', '1:10', 'expected the end of the line, found `b`', SPACES],
]

const OPERATIONS: readonly Wrong[] = [
  [
    'then\nput a #1',
    '2:7',
    'expected a value, found a comment',
    'a word that begins with # is written in double quotes',
  ],
  ['then\nput prefix a b', '2:5', 'expected a single key, found `prefix`', SAME_NAME],
  ['then\nput a b c', '2:9', `${AFTER_PUT}, found \`c\``, SPACES],
  ['then\nput a {"b":1}', '2:7', 'expected a value, found `{`', BRACKETS],
  ['then\nput a b lease 0', '2:15', `${LEASE}, found \`0\``],
  ['then\nput a b ttl 30', '2:13', `${DURATION}, found \`30\``],
  ['then\nput a b ttl "30s"', '2:13', `${DURATION}, found the string \`30s\``, UNQUOTED],
  ['then\nput a b ttl 30s lease 1', '2:17', 'expected `prev` or the end of the line, found `lease`'],
  ['then\nput a b lease 1 lease 2', '2:17', 'expected `prev` or the end of the line, found `lease`'],
  ['then\nget a b', '2:7', `${AFTER_GET}, found \`b\``, SPACES],
  ['then\nget a limit 0', '2:13', 'expected a whole number from 1 to 2^53 - 1, found `0`'],
  [
    'then\nget a keys-only count-only',
    '2:17',
    'expected `limit`, `count` or the end of the line, found `count-only`',
  ],
  ['then\nget @"app.conf"', '2:5', 'expected a key, found the file `app.conf`'],
  ['then\ndelete a prev prev', '2:15', 'expected the end of the line, found `prev`'],
]

const WORDS: readonly Wrong[] = [
  ["then\nput a 'b c'", '2:7', "expected a word or a string in double quotes, found `'`", QUOTES],
  ["then\nput a don't", '2:10', "expected a space, found `'`", QUOTES],
  ['then\nput a "b"c', '2:10', 'expected a space, found `c`', QUOTES],
  [
    'then\nput 😀 \u001b[A',
    '2:7',
    'expected a word or a string in double quotes, found the character U+001B',
    QUOTES,
  ],
  ['then\nput a "my\nvalue"', '2:10', 'expected `"`, found the end of the line', IN_STRING],
  ['then\nput a "b\tc"', '2:9', 'expected `"`, found the character U+0009', IN_STRING],
  ['then\nput a "\\q"', '2:8', `${ESCAPE}, found \`\\q\``],
  ['then\nput a "\\xg0"', '2:8', `${ESCAPE}, found \`\\x\``],
  [
    'then\nput a "\\ud800"',
    '2:8',
    'expected a surrogate pair, such as \\ud83d\\ude00, found half of one, `\\ud800`',
  ],
  ['then\nput a base64:/w', '2:7', 'expected base64 with padding after `base64:`, found `base64:/w`'],
  [
    'then\nput a @none',
    '2:7',
    'expected a file that can be read, found `none`: no such file or directory',
    'a value that begins with @ is written in double quotes',
  ],
]

const named = ([text, place, message, hint]: Wrong) => ({ text, place, message, hint })

export const WRONG_TEXTS = [...SECTIONS, ...NESTED, ...COMPARISONS, ...OPERATIONS, ...WORDS].map(named)
