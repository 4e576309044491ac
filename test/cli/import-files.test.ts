// Files of every size around the limit, and of a size that the system does not tell.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readItemsFromFiles } from '../../src/cli/transfer/import-files.ts'
import { must } from '../storage/samples.ts'

/** The stored content of a file, or the reason why it is skipped. */
function stored(directory: string, file: string, bytesMax: number): string {
  const item = must(
    [...readItemsFromFiles(directory, bytesMax)].find(
      ({ kind, ...named }) => 'name' in named && named.name === file,
    ),
  )
  if (item.kind !== 'write') return item.kind
  try {
    return Buffer.from(item.value()).toString()
  } catch (error) {
    return String(error)
  }
}

test('a value has as many bytes as the limit, and no more', () => {
  const directory = mkdtempSync(join(tmpdir(), 'quorate-import-'))
  try {
    for (const size of [0, 1, 2, 5, 6]) {
      writeFileSync(join(directory, 'file'), 'x'.repeat(size))
      for (const max of [0, 1, 5]) {
        const refused = `Error: ${size} bytes; a value has at most ${max}`
        expect(stored(directory, 'file', max)).toBe(size > max ? refused : 'x'.repeat(size))
      }
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test('a file whose size the system tells as 0 is read to its end, and refused beyond the limit', () => {
  const directory = '/proc/sys/kernel/random'
  const bootId = readFileSync(`${directory}/boot_id`, 'utf8')
  expect(stored(directory, 'boot_id', bootId.length)).toBe(bootId)
  expect(stored(directory, 'boot_id', bootId.length - 1)).toBe('Error: 37 bytes; a value has at most 36')
})
