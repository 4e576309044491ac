import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'

const MODULE = pathToFileURL('jepsen-lite/scratch-directory.ts').href

test.each(['SIGINT', 'SIGTERM'] as const)('it goes with a process that %s ends', async (signal) => {
  const code = `
    import { tmpdir } from 'node:os'
    import { ScratchDirectory } from '${MODULE}'
    process.stdout.write(new ScratchDirectory(tmpdir(), 'quorate-test-').path)
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [path] = (await once(child.stdout, 'data')).map(String)
  expect(path !== undefined && existsSync(path)).toBe(true)
  const ended = once(child, 'exit')
  child.kill(signal)
  expect((await ended)[0]).toBe(3)
  expect(path !== undefined && existsSync(path)).toBe(false)
})
