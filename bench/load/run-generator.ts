// Runs a load generator in a process of its own.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { BEGUN, type Load, type LoadReport } from './load.ts'
import type { WatchLoad } from './watch-load.ts'

export interface Program {
  readonly command: string
  readonly args: readonly string[]
}

export const NODE_GENERATOR: Program = {
  command: process.execPath,
  args: [join(import.meta.dirname, 'generator.ts')],
}

export const NODE_WATCH_GENERATOR: Program = {
  command: process.execPath,
  args: [join(import.meta.dirname, 'watch-generator.ts')],
}

export interface RunningGenerator {
  /** The next line that it prints; rejects when it has ended. */
  next(): Promise<string>
  /** Resolves when that is the next line. */
  expect(line: string): Promise<void>
  go(): void
  stop(): void
  /** Ends the process, without a report. */
  kill(): void
}

export function startGenerator({ command, args }: Program, load: Load | WatchLoad): RunningGenerator {
  // In a session of its own: Linux may share out the processors by session (autogroup), and the nodes of quorate have
  // one, too. So on both sides the nodes together weigh as much as their generator.
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], detached: true })
  // A generator that has ended takes no more: its output says why.
  child.stdin.on('error', () => {})
  child.stdin.write(`${JSON.stringify(load)}\n`)
  const failed = once(child, 'error').then(([error]) => Promise.reject(error))
  // It may fail while its user waits for something else.
  failed.catch(() => {})
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  async function next(): Promise<string> {
    const { value, done } = await Promise.race([lines.next(), failed])
    if (done === true) throw new Error('the load generator ended without a report')
    return value
  }
  return {
    next,
    async expect(wanted) {
      const line = await next()
      if (line !== wanted) throw new Error(`the load generator printed: ${line}`)
    },
    go: () => child.stdin.write('go\n'),
    stop: () => child.stdin.end(),
    kill: () => void child.kill('SIGKILL'),
  }
}

export interface RunningLoad {
  /** Resolves when the warm-up is over. */
  readonly begun: Promise<void>
  readonly report: Promise<LoadReport>
  /** Ends the measured time now. */
  stop(): void
}

export function startLoad(program: Program, load: Load): RunningLoad {
  const { next, expect, stop } = startGenerator(program, load)
  const begun = expect(BEGUN)
  const report = begun.then(next).then((line): LoadReport => JSON.parse(line))
  for (const promise of [begun, report]) promise.catch(() => {})
  return { begun, report, stop }
}
