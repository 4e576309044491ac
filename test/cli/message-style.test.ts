// Messages of the command have one style: they begin with a small letter, and no full stop ends them.

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const FILES = globSync(
  ['src/cli/**/*.ts', 'src/local/**/*.ts', 'src/server/start/start-node.ts', 'src/server/start/join.ts'],
  {
    cwd: root,
  },
)

/** The first text in a call that reports something. */
const MESSAGE =
  /\b(?:say|sayInPassing|sayLast|invalid|bad|confirm|new (?:Failure|Cancellation|NodeStartError|InvalidArgumentError|JoinRefusedError))\((?:\s*(?:EXIT\.\w+|\d|exitCode),)?\s*(['"`])((?:(?!\1)[^\\]|\\.)*)\1/g

test('no message begins with a capital, or has sentences', () => {
  const messages = FILES.flatMap((file) =>
    [...readFileSync(join(root, file), 'utf8').matchAll(MESSAGE)].map(
      ([, , text = '']) => `${file}: ${text}`,
    ),
  )
  expect(messages.length).toBeGreaterThan(100)
  const faults = messages.filter((message) => {
    const text = message.slice(message.indexOf(': ') + 2)
    return (/^[A-Z][a-z]/.test(text) && !text.startsWith('Node.js')) || /[.]$|[a-z)][.] [A-Z]/.test(text)
  })
  expect(faults).toEqual([])
})
