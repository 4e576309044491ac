import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { confirm } from '../../src/cli/confirm.ts'

const typed = (text: string, isTTY: boolean) => {
  const input = Object.assign(new PassThrough(), { isTTY })
  input.end(text)
  return input
}

test.each(['y\n', 'Y\r\n', ' yes \n', 'y'])('%j is yes', async (text) => {
  const input = typed(text, true)
  await confirm('It ends.', input)
  // A terminal that is still being read keeps the process alive.
  expect(input.destroyed).toBe(true)
})

test.each(['', '\n', 'n\n', 'yesterday\n', 'no\ny\n'])('%j is no', async (text) => {
  await expect(confirm('It ends.', typed(text, true))).rejects.toMatchObject({
    exitCode: 1,
    message: 'nothing was changed',
  })
})

test('without a terminal nobody is asked', async () => {
  await expect(confirm('It ends.', typed('y\n', false))).rejects.toMatchObject({
    exitCode: 2,
    message: 'It ends. To do that, add --yes.',
  })
})
