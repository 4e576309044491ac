// When V8 optimizes a function of a process that only runs a node.

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const child = fileURLToPath(new URL('jit-threshold.child.ts', import.meta.url))
// The number of calls alone decides, not how long a compilation takes.
const flags = ['--trace-opt', '--no-concurrent-recompilation', child]

/** Whether V8 optimizes a function fully that is called 2,500 times. */
async function optimizes(argument: string): Promise<boolean> {
  const env = { ...process.env, NODE_OPTIONS: '' }
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [...flags, argument], { env })
  expect(stderr).not.toContain('unrecognized flag')
  return /completed compiling .*JSFunction called .*TURBOFAN/.test(stdout)
}

test('a function that has run 2,500 times is optimized, otherwise not yet', async () => {
  expect([await optimizes('soon'), await optimizes('late')]).toEqual([true, false])
})
