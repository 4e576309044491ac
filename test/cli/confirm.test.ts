import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { confirm } from '../../src/cli/confirm.ts'

const TERMINAL = { isTTY: true }

const typed = (text: string, isTTY: boolean) => {
  const input = Object.assign(new PassThrough(), { isTTY })
  input.end(text)
  return input
}

test.each(['y\n', 'Y\r\n', ' yes \n', 'y'])('%j is yes', async (text) => {
  const input = typed(text, true)
  await confirm('It ends.', input, TERMINAL)
  // A terminal that is still being read keeps the process alive.
  expect(input.destroyed).toBe(true)
})

test.each(['', '\n', 'n\n', 'yesterday\n', 'no\ny\n'])('%j is no', async (text) => {
  await expect(confirm('It ends.', typed(text, true), TERMINAL)).rejects.toMatchObject({
    exitCode: 1,
    message: 'nothing was changed',
  })
})

test.each([
  [false, true],
  [true, false],
])('without a terminal nobody is asked (input %s, output %s)', async (input, output) => {
  const asked = confirm('It ends.', typed('y\n', input), { isTTY: output })
  await expect(asked).rejects.toMatchObject({
    exitCode: 2,
    message: 'It ends. To do that, add --yes.',
  })
})
