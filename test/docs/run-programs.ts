// The process in which the programs run, one after the other, as Node.js runs them: with types stripped, and without a
// test framework around them. Writes what each has printed and thrown into a file, and ends by itself when the programs
// leave nothing open.

import { AsyncLocalStorage } from 'node:async_hooks'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { format } from 'node:util'

/** Limit on the run of one program, which only a program that hangs exceeds. */
const LIMIT_MS = 60_000

export interface Ran {
  readonly printed: readonly string[]
  readonly error?: string
}

declare global {
  /** Repeats `act` until the program has printed the text. */
  var untilPrinted: (text: string, act: () => Promise<unknown>) => Promise<void>
  /** Ends a program whose work is done; its client may then be closed without an error. */
  var end: () => void
}

/** The output of each program; a slow one may print while the next one runs. */
const lines = new AsyncLocalStorage<string[]>()
console.log = (...values) => lines.getStore()?.push(format(...values))

async function run(file: string): Promise<Ran> {
  const printed: string[] = []
  let isDone = false
  globalThis.end = () => {
    isDone = true
  }
  globalThis.untilPrinted = async (text, act) => {
    while (!printed.some((line) => line.includes(text))) await act()
  }
  const late = Promise.withResolvers<never>()
  const limit = setTimeout(() => late.reject(new Error(`no end after ${LIMIT_MS} ms`)), LIMIT_MS)
  try {
    await Promise.race([lines.run(printed, () => import(file)), late.promise])
    return { printed }
  } catch (error) {
    if (isDone && error instanceof Error && 'code' in error && error.code === 'closed') return { printed }
    return { printed, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  } finally {
    clearTimeout(limit)
  }
}

const [directory = '', ...files] = process.argv.slice(2)
const ran: Record<string, Ran> = {}
for (const file of files) {
  ran[file] = await run(join(directory, file))
  writeFileSync(join(directory, 'ran.json'), JSON.stringify(ran))
}
