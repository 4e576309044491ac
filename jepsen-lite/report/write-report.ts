// A report as a file. What is wrong with a history matters more than a report that cannot be written.

import { AsyncLocalStorage } from 'node:async_hooks'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

/** Where the report is, or why it could not be written, as a line of a message. */
export interface WrittenReport {
  readonly path: string | undefined
  readonly line: string
}

/** Runs a function outside of the simulated process that calls it, and may not use the disk. */
const outside = AsyncLocalStorage.snapshot()

/** `render`: makes the page. */
export function writeReport(report: string, render: () => string): WrittenReport {
  const path = resolve(report)
  try {
    outside(() => {
      const page = render()
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, page)
    })
    return { path, line: `Report: ${path}` }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return { path: undefined, line: `The report could not be written: ${why}` }
  }
}
