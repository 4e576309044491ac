import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { MemberProcesses } from '../../bench/clusters/member-processes.ts'
import { sample } from '../../bench/measure/processes.ts'

/** The kernel shows CPU time in steps of 10 ms, each of the two parts for itself. */
const STEPS_MICROS = 20_000

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'quorate-bench-test-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

test('the CPU time of a process is that of its own code and of the kernel for it, and of no other process', () => {
  const read = (): number => process.cpuUsage().user + process.cpuUsage().system
  while (process.cpuUsage().system < 100_000) readFileSync('/proc/self/status')
  const before = read()
  const { cpuMicros } = sample(process.pid)
  expect(cpuMicros).toBeGreaterThanOrEqual(before - STEPS_MICROS)
  expect(cpuMicros).toBeLessThanOrEqual(read() + STEPS_MICROS)
})

test('memory is that of the process, in megabytes', () => {
  const { rssAnonMb, vmRssMb } = sample(process.pid)
  const [, resident] = readFileSync('/proc/self/statm', 'utf8').split(' ')
  expect(vmRssMb / ((Number(resident) * 4096) / 1e6)).toBeCloseTo(1, 0)
  expect(rssAnonMb).toBeGreaterThan(0)
  expect(rssAnonMb).toBeLessThan(vmRssMb)
})

test('bytes that no disk has are not written', () => {
  const before = sample(process.pid).writtenBytes
  writeFileSync('/dev/null', Buffer.alloc(64 * 1024 * 1024))
  const after = sample(process.pid).writtenBytes
  expect((after ?? 0) - (before ?? 0)).toBeLessThan(32 * 1024 * 1024)
})

test('the name of a program changes nothing', async () => {
  const program = join(newDirectory(), 'a) R 1 (b')
  copyFileSync('/bin/sleep', program)
  const child = spawn(program, ['600'])
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child, 'spawn')
  const isNamed = (): boolean => readFileSync(`/proc/${child.pid}/comm`, 'utf8') === 'a) R 1 (b\n'
  await vi.waitFor(() => expect(isNamed()).toBe(true))
  expect(sample(child.pid ?? 0).cpuMicros).toBeLessThan(1e6)
})

const members = (script: string) =>
  ['a', 'b'].map((name) => ({ name, url: `http://${name}`, args: ['-c', script, name] }))

test('a member that was killed has no process, and starts again', async () => {
  const processes = new MemberProcesses('sh', newDirectory(), members('exec sleep 600'))
  onTestFinished(() => processes.stop())
  const [first, other] = processes.nodes()
  process.kill(first?.pid ?? 0, 'SIGKILL')
  await vi.waitFor(() => expect(processes.nodes()[0]?.pid).toBeUndefined())
  expect(processes.nodes()).toEqual([{ name: 'a', url: 'http://a', pid: undefined }, other])
  await processes.restart('a')
  expect(processes.nodes()[0]?.pid).not.toBe(first?.pid)
  // A restart waits for the end of the process before.
  const [second] = processes.nodes()
  process.kill(second?.pid ?? 0, 'SIGKILL')
  await processes.restart('a')
  expect(() => process.kill(second?.pid ?? 0, 0)).toThrow('ESRCH')
  await expect(processes.restart('c')).rejects.toThrow('there is no member c')
})

test('the end of all members is waited for, also of those that were killed or stopped before', async () => {
  const processes = new MemberProcesses('sh', newDirectory(), members('exec sleep 600'))
  const [killed, stopped] = processes.nodes().map(({ pid }) => pid ?? 0)
  process.kill(killed ?? 0, 'SIGKILL')
  process.kill(stopped ?? 0, 'SIGSTOP')
  await vi.waitFor(() => expect(processes.nodes()[0]?.pid).toBeUndefined())
  await processes.stop()
  for (const pid of [killed, stopped]) expect(() => process.kill(pid ?? 0, 0)).toThrow('ESRCH')
  await processes.stop()
})

test('a member that has ended by itself is named, with the end of its output', async () => {
  const processes = new MemberProcesses('sh', newDirectory(), members('echo a reason; exit 3'))
  onTestFinished(() => processes.stop())
  await vi.waitFor(() => expect(() => processes.nodes()).toThrow(/^[ab] ended:\na reason\n$/))
})
