// Whatever the keys, an export changes nothing outside its directory, nor what the symlinks in it point to; and every
// key that it claims to have written can be read back.

import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ExportDirectory } from '../../src/cli/transfer/export-files.ts'
import { readItemsFromFiles } from '../../src/cli/transfer/import-files.ts'
import { runs } from '../runs.ts'

const segment = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('a', 'b', 'link', 'file-link', 'dir', 'file') },
  {
    weight: 3,
    arbitrary: fc.constantFrom('', '.', '..', '...', '.. ', '\0', '\\', 'x'.repeat(255), 'x'.repeat(256)),
  },
  {
    weight: 1,
    arbitrary: fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  },
)
const key = fc
  .array(segment, { minLength: 1, maxLength: 5 })
  .map((segments) => Buffer.from(segments.join('/'), 'latin1'))
const records = fc.array(fc.record({ key, value: fc.uint8Array({ maxLength: 3 }) }), { maxLength: 25 })

test('an export stays inside its directory', () => {
  fc.assert(
    fc.property(records, fc.boolean(), (all, force) => {
      const scratch = mkdtempSync(join(tmpdir(), 'quorate-export-'))
      try {
        const top = join(scratch, 'top')
        layOut(scratch, top)
        const outside = picture(scratch)
        const directory = new ExportDirectory(top, force)
        const claimed = new Map<string, Uint8Array>()
        for (const { key, value } of all) {
          const result = directory.write(key, value)
          if (result.kind !== 'refused') claimed.set(key.toString('latin1'), value)
        }
        expect(picture(scratch)).toEqual(outside)
        expect(readlinkSync(join(top, 'link'))).toBe('../outside')
        expect(readlinkSync(join(top, 'file-link'))).toBe('../outside/file')
        for (const [name, value] of claimed) {
          const path = Buffer.concat([Buffer.from(`${top}/`), Buffer.from(name, 'latin1')])
          expect(readFileSync(path)).toEqual(Buffer.from(value))
        }
      } finally {
        rmSync(scratch, { recursive: true, force: true })
      }
    }),
    { numRuns: runs(300) },
  )
})

test('an import of the directory finds what was exported, and nothing else', () => {
  // Together as long as a path may be, or a little longer.
  const long = fc.array(fc.constantFrom('x'.repeat(255), 'x'.repeat(200)), { minLength: 14, maxLength: 18 })
  const anyKey = fc.oneof(
    { weight: 4, arbitrary: key },
    { weight: 1, arbitrary: long.map((segments) => Buffer.from(segments.join('/'))) },
  )
  const record = fc.record({ key: anyKey, value: fc.uint8Array({ maxLength: 3 }) })
  const distinct = { maxLength: 15, selector: ({ key }: { key: Buffer }) => key.toString('latin1') }
  fc.assert(
    fc.property(fc.uniqueArray(record, distinct), (all) => {
      const top = mkdtempSync(join(tmpdir(), 'quorate-export-'))
      try {
        const directory = new ExportDirectory(top, false)
        const written = all.filter(({ key, value }) => directory.write(key, value).kind === 'written')
        const found = [...readItemsFromFiles(top, 3)].map((item) =>
          item.kind === 'write' ? [hex(item.key), hex(item.value())] : item,
        )
        expect(found.sort()).toEqual(written.map(({ key, value }) => [hex(key), hex(value)]).sort())
      } finally {
        rmSync(top, { recursive: true, force: true })
      }
    }),
    { numRuns: runs(80) },
  )
})

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

function layOut(scratch: string, top: string): void {
  mkdirSync(join(scratch, 'outside'))
  writeFileSync(join(scratch, 'outside/file'), 'mine')
  mkdirSync(join(top, 'dir'), { recursive: true })
  writeFileSync(join(top, 'file'), 'old')
  symlinkSync('../outside', join(top, 'link'))
  symlinkSync('../outside/file', join(top, 'file-link'))
}

/** The files beside the directory. */
function picture(scratch: string): unknown {
  return {
    top: readdirSync(scratch).sort(),
    outside: readdirSync(join(scratch, 'outside')),
    file: readFileSync(join(scratch, 'outside/file'), 'utf8'),
  }
}
