// A vitest reporter that writes what scripts/test.mjs prints as its last line.

import { writeFileSync } from 'node:fs'

export default class CountReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0 }
    for (const module of modules) {
      counts.failed += module.errors().length
      for (const suite of module.children.allSuites()) counts.failed += suite.errors().length
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        // Pending at the end: its worker died or the run was interrupted.
        counts[state === 'pending' ? 'failed' : state] += 1
      }
    }
    writeFileSync(process.env.QUORATE_TEST_COUNTS, JSON.stringify(counts))
  }
}
