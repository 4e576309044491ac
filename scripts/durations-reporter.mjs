// A vitest reporter that writes how long each test file takes to test/durations.json, which decides the order of the
// files (vitest.config.ts), and prints the files that take most processor time.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const durationsFile = join(root, 'test/durations.json')
const PRINTED_MAX = 60

export default class DurationsReporter {
  onTestRunEnd(modules) {
    const seconds = existsSync(durationsFile) ? JSON.parse(readFileSync(durationsFile, 'utf8')) : {}
    const rows = modules.map((module) => {
      const path = relative(root, module.moduleId)
      const wall = Math.round(module.diagnostic().duration / 100) / 10
      seconds[path] = wall
      return { path, wall, processor: (module.meta().processorMs ?? 0) / 1000 }
    })
    // Other runs have measured what did not run now. A file that was moved is not there any more.
    const kept = Object.keys(seconds)
      .filter((path) => existsSync(join(root, path)))
      .sort()
    writeFileSync(
      durationsFile,
      `${JSON.stringify(Object.fromEntries(kept.map((path) => [path, seconds[path]])), null, 2)}\n`,
    )
    rows.sort((a, b) => b.processor - a.processor)
    const line = (processor, wall, path) =>
      `${processor.toFixed(1).padStart(9)} ${wall.toFixed(1).padStart(7)}  ${path}`
    console.log('\nprocessor    wall  (seconds)')
    for (const { processor, wall, path } of rows.slice(0, PRINTED_MAX))
      console.log(line(processor, wall, path))
    const sum = (of) => rows.reduce((total, row) => total + of(row), 0)
    console.log(
      line(
        sum(({ processor }) => processor),
        sum(({ wall }) => wall),
        `all ${rows.length} files`,
      ),
    )
  }
}
