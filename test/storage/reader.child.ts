// A process that opens damaged copies of a directory and prints the outcome of each. It is separate because LevelDB may
// abort the process over a damaged table.
//
//   reader.child.ts DIR EXPECTED < file and number of a bit, one a line

import { readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { CorruptionError, StorageFailedError } from '../../src/storage/index.ts'
import { copyTo, outcomeOf } from './damage.ts'

const [dir = '', expectedFile = ''] = process.argv.slice(2)
const expected = readFileSync(expectedFile, 'utf8')
for (const [number, line] of readFileSync(0, 'utf8').trim().split('\n').entries()) {
  const [file = '', bit = ''] = line.split(' ')
  // A failed handle keeps its lock, and one bit may be drawn twice. So every copy has a unique name.
  const copy = `${dir}.${process.pid}.${number}`
  copyTo(copy, dir)
  const content = readFileSync(join(copy, file))
  const at = Number(bit)
  content[at >> 3] = (content[at >> 3] ?? 0) ^ (1 << (at & 7))
  writeFileSync(join(copy, file), content)
  writeSync(1, `${line} begun\n`)
  writeSync(1, `${line} ${await verdict(copy)}\n`)
  rmSync(copy, { recursive: true, force: true })
}
process.exit(0)

async function verdict(copy: string): Promise<string> {
  try {
    const outcome = await outcomeOf(copy)
    if (outcome.kind === 'refused') return 'refused'
    return outcome.content === expected ? 'unharmed' : 'SILENT'
  } catch (error) {
    if (error instanceof CorruptionError || error instanceof StorageFailedError) return `found ${error.name}`
    return `SURPRISING ${error}`
  }
}
