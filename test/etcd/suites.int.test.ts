import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { processState } from '../../src/local/processes.ts'
import { finish, requireFile, requireProgram, scratchDirectory, succeed } from './suites.ts'

/** A program that starts another one, prints the numbers of both, and waits. */
const PARENT = 'sleep 600 & echo $$ $!; wait'

/** A process whose parent has ended may wait for somebody who asks how it has ended. */
const hasEnded = (pid: number): boolean => [undefined, 'Z'].includes(processState(pid))

test('a program that ends has its code, and the lines of both of its streams', async () => {
  const script = 'echo one; exit 3'
  expect(await finish('sh', ['-c', script])).toEqual({ code: 3, output: 'one\n' })
  await expect(succeed('sh', ['-c', script])).rejects.toThrow(`sh -c ${script}: exit code 3\none\n`)
  expect(await succeed('sh', ['-c', 'echo two >&2'])).toBe('two\n')
  expect(await succeed('cat', [], { input: 'text' })).toBe('text')
  expect((await finish('sh', ['-c', 'kill -9 $$'])).code).toBe(null)
  await expect(succeed('sh', ['-c', 'kill -9 $$'])).rejects.toThrow('exit code null')
  await expect(finish('/no/such/program', [])).rejects.toThrow('ENOENT')
})

test('the signal ends a program and all that it has started', async () => {
  const stop = new AbortController()
  let pids: number[] = []
  const run = finish('sh', ['-c', PARENT], {
    signal: stop.signal,
    onOutput(output) {
      pids = output.trim().split(' ').map(Number)
      stop.abort()
    },
  })
  expect((await run).code).toBe(null)
  expect(pids.length).toBe(2)
  for (const pid of pids) await vi.waitFor(() => expect(hasEnded(pid)).toBe(true))
})

test('a signal that has fired ends a program that starts', async () => {
  expect((await finish('sleep', ['600'], { signal: AbortSignal.abort() })).code).toBe(null)
})

test('a signal that fires after the end of a program ends nothing', async () => {
  const stop = new AbortController()
  await finish('true', [], { signal: stop.signal })
  // The system may give the number of the program to another one.
  const kill = vi.spyOn(process, 'kill').mockReturnValue(true)
  stop.abort()
  expect(kill).not.toHaveBeenCalled()
  kill.mockRestore()
})

test('programs and files that are missing are named, with their package', () => {
  const directory = scratchDirectory('suites-test')
  const program = join(directory, 'program')
  writeFileSync(program, '')
  expect(() => requireProgram('sh', 'dash')).not.toThrow()
  expect(() => requireProgram('no-such-program', 'a-package')).toThrow(
    "this test needs no-such-program, of Debian's package: apt-get install a-package",
  )
  expect(() => requireProgram(program, 'a-package')).toThrow(program)
  chmodSync(program, 0o755)
  expect(() => requireProgram(program, 'a-package')).not.toThrow()
  expect(() => requireFile(join(directory, 'other'), 'a-package')).toThrow('apt-get install a-package')
  expect(() => requireFile(program, 'a-package')).not.toThrow()
})
