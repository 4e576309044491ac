// Commands that kv runs, and what Node tells of them.

import { spawn } from 'node:child_process'
import { expect, test } from 'vitest'
import { childExitCode } from '../../src/cli/exec/child.ts'

test('a command that a signal cannot be sent to, as to one of another user, has not ended', async () => {
  const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], {
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  const code = childExitCode(child, 'sudo')
  // Node emits this when kill(2) is refused. A test is not sure to have a second user.
  const refused = Object.assign(new Error('kill EPERM'), { code: 'EPERM', syscall: 'kill' })
  child.emit('error', refused)
  child.emit('error', refused)
  child.stdin.end()
  expect(await code).toBe(0)
})
