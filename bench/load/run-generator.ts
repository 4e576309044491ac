// Runs a load generator in a process of its own.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { BEGUN, type Load, type LoadReport } from './load.ts'

export interface Program {
  readonly command: string
  readonly args: readonly string[]
}

export const NODE_GENERATOR: Program = {
  command: process.execPath,
  args: [join(import.meta.dirname, 'generator.ts')],
}

export interface RunningLoad {
  /** Resolves when the warm-up is over. */
  readonly begun: Promise<void>
  readonly report: Promise<LoadReport>
  /** Ends the measured time now. */
  stop(): void
}

export function startLoad({ command, args }: Program, load: Load): RunningLoad {
  // In a session of its own: Linux may share out the processors by session (autogroup), and the nodes of quorate have
  // one, too. So on both sides the nodes together weigh as much as their generator.
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], detached: true })
  // A generator that has ended takes no more: its output says why.
  child.stdin.on('error', () => {})
  child.stdin.write(`${JSON.stringify(load)}\n`)
  const failed = once(child, 'error').then(([error]) => Promise.reject(error))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async (): Promise<string> => {
    const { value, done } = await Promise.race([lines.next(), failed])
    if (done === true) throw new Error('the load generator ended without a report')
    return value
  }
  const begun = next().then((line) => {
    if (line !== BEGUN) throw new Error(`the load generator said: ${line}`)
  })
  const report = begun.then(next).then((line): LoadReport => JSON.parse(line))
  // It may fail while its user waits for something else.
  for (const promise of [failed, begun, report]) promise.catch(() => {})
  return { begun, report, stop: () => child.stdin.end() }
}
