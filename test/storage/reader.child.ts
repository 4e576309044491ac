// A process that opens damaged copies of a directory and says what became of each: LevelDB may abort the process over a damaged table.
//
//   reader.child.ts DIR FILE EXPECTED < one bit number a line

import { readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { copyTo, outcomeOf } from './damage.ts'

const [dir = '', file = '', expectedFile = ''] = process.argv.slice(2)
const expected = readFileSync(expectedFile, 'utf8')
const bits = readFileSync(0, 'utf8').trim().split('\n').map(Number)
const copy = `${dir}.copy`
for (const bit of bits) {
  copyTo(copy, dir)
  const content = readFileSync(join(copy, file))
  content[bit >> 3] = (content[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  writeFileSync(join(copy, file), content)
  writeSync(1, `${bit} begun\n`)
  writeSync(1, `${bit} ${await verdict()}\n`)
}
rmSync(copy, { recursive: true, force: true })
// A handle that has failed is abandoned, and would keep the process alive.
process.exit(0)

async function verdict(): Promise<string> {
  try {
    const outcome = await outcomeOf(copy)
    if (outcome.kind === 'refused') return 'refused'
    return outcome.content === expected ? 'unharmed' : 'SILENT'
  } catch (error) {
    return error instanceof Error ? `found ${error.name}` : 'found'
  }
}
