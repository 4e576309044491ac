// A vitest reporter that writes what scripts/test.mjs prints at the end: the counts, and the files that failed.

import { writeFileSync } from 'node:fs'
import { relative } from 'node:path'

export default class CountReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0 }
    const failedFiles = []
    for (const module of modules) {
      if (!module.ok()) failedFiles.push(relative(process.cwd(), module.moduleId))
      counts.failed += module.errors().length
      for (const suite of module.children.allSuites()) counts.failed += suite.errors().length
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        // Pending at the end: its worker died or the run was interrupted.
        counts[state === 'pending' ? 'failed' : state] += 1
      }
    }
    writeFileSync(process.env.QUORATE_TEST_COUNTS, JSON.stringify({ ...counts, failedFiles }))
  }
}
