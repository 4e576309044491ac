// Histories that other people recorded and judged. They are not part of the project: where their folder is absent, this
// is skipped.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../../..')
const folder = process.env.QUORATE_HISTORIES ?? join(root, '../shared/histories')

test.skipIf(!existsSync(folder))(
  'all histories recorded by others are judged as they were, in one call',
  () => {
    const expected = new Map(
      readFileSync(join(folder, 'EXPECTED.tsv'), 'utf8')
        .trim()
        .split('\n')
        .map((line) => line.split('\t'))
        .map(([file, verdict]) => [file, verdict === 'true']),
    )
    const { status, stdout } = spawnSync(
      process.execPath,
      [join(root, 'bin/jepsen-lite.js'), 'check', folder, '-o', 'json'],
      { encoding: 'utf8', maxBuffer: 1 << 26 },
    )
    const { files }: { files: { file: string; linearizable: boolean | null }[] } = JSON.parse(stdout)
    const judged = new Map(files.map(({ file, linearizable }) => [relative(folder, file), linearizable]))
    expect(judged).toEqual(expected)
    expect(judged.size).toBe(56)
    expect(status).toBe(1)
  },
)
