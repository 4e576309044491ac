// How the output of strace is read: what counts is when a call began and when it was over.

import { expect, test } from 'vitest'
import type { DiskEvent } from '../../../jepsen-lite/power/disk.ts'
import { RecordingError, type TraceEvent, TraceReader } from '../../../jepsen-lite/power/trace.ts'

const hex = (text: string): string =>
  `"${[...Buffer.from(text)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}"`

function read(lines: readonly string[], start: Record<string, number> = {}): (DiskEvent | string)[] {
  const reader = new TraceReader<string>(
    { dir: '/d', marks: '/marks' },
    new Map(Object.entries(start)),
    String,
  )
  const shown = (event: TraceEvent<string>): DiskEvent | string =>
    event.kind === 'disk' ? event.event : event.mark
  return reader.read(lines.join('\n')).map(shown)
}

const opened = (path: string, flags: string, fd: number): string =>
  `7 openat(AT_FDCWD, ${hex(path)}, ${flags}, 0666) = ${fd}`
const wrote = (pid: number, fd: number, data: string): string =>
  `${pid} write(${fd}, ${hex(data)}, ${data.length}) = ${data.length}`
const write = (file: number, at: number, data: string): DiskEvent => ({
  kind: 'write',
  file,
  at,
  data: Buffer.from(data),
})

test('writes go where the file ends, or where they say', () => {
  const lines = [
    opened('/d/new', 'O_WRONLY|O_CREAT|O_TRUNC', 5),
    wrote(7, 5, 'ab'),
    `7 writev(5, [{iov_base=${hex('c')}, iov_len=1}, {iov_base=${hex('de')}, iov_len=2}], 2) = 3`,
    `7 pwrite64(5, ${hex('XY')}, 2, 1) = 2`,
    wrote(7, 5, 'f'),
    opened('/d/old', 'O_WRONLY|O_APPEND', 6),
    wrote(7, 6, 'z'),
  ]
  expect(read(lines, { old: 10 })).toEqual([
    { kind: 'create', name: 'new', file: 1 },
    ...[write(1, 0, 'ab'), write(1, 2, 'cde'), write(1, 1, 'XY'), write(1, 5, 'f'), write(-1, 10, 'z')],
  ])
})

test('only what was written counts, and a call that failed not at all', () => {
  const lines = [
    opened('/d/f', 'O_RDWR', 5),
    `7 write(5, ${hex('abc')}, 3) = 2`,
    `7 write(5, ${hex('abc')}, 3) = -1 ENOSPC (No space left on device)`,
    `7 rename(${hex('/d/f')}, ${hex('/d/g')}) = -1 EIO (Input/output error)`,
  ]
  expect(read(lines, { f: 0 })).toEqual([write(-1, 0, 'ab')])
})

test('a sync covers what was over when it began', () => {
  const lines = [
    opened('/d/f', 'O_RDWR', 5),
    wrote(7, 5, 'a'),
    '8 fdatasync(5 <unfinished ...>',
    wrote(7, 5, 'b'),
    '8 <... fdatasync resumed>) = 0',
  ]
  expect(read(lines, { f: 0 }).at(-1)).toEqual({ kind: 'sync', file: -1, begun: 1 })
})

test('a number that is free once its close began may be another file before that close is over', () => {
  const lines = [
    opened('/d/f', 'O_RDWR', 5),
    '8 close(5 <unfinished ...>',
    opened('/d/g', 'O_RDWR|O_CREAT', 5),
    '8 <... close resumed>) = 0',
    wrote(7, 5, 'x'),
  ]
  expect(read(lines, { f: 0 })).toEqual([{ kind: 'create', name: 'g', file: 1 }, write(1, 0, 'x')])
})

test('marks stand in the order of all else, and other files are left out', () => {
  const lines = [
    opened('/marks', 'O_WRONLY|O_CREAT|O_APPEND', 5),
    opened('/d/f', 'O_RDWR', 6),
    opened('/elsewhere/f', 'O_RDWR', 7),
    wrote(7, 5, 'before\n'),
    wrote(7, 6, 'a'),
    wrote(7, 7, 'q'),
    wrote(7, 5, 'after\n'),
  ]
  expect(read(lines, { f: 0 })).toEqual(['before', write(-1, 0, 'a'), 'after'])
})

test('names change, and the directory is synced', () => {
  const lines = [
    `7 mkdir(${hex('/d')}, 0777) = 0`,
    opened('/d/f.new', 'O_WRONLY|O_CREAT|O_EXCL', 5),
    `7 rename(${hex('/d/f.new')}, ${hex('/d/f')}) = 0`,
    `7 unlink(${hex('/d/f')}) = 0`,
    opened('/d', 'O_RDONLY', 6),
    '7 fsync(6) = 0',
    opened('/', 'O_RDONLY', 6),
    '7 fsync(6) = 0',
  ]
  expect(read(lines)).toEqual([
    { kind: 'mkdir' },
    { kind: 'create', name: 'f.new', file: 1 },
    { kind: 'rename', from: 'f.new', to: 'f' },
    { kind: 'unlink', name: 'f' },
    { kind: 'sync-directory', begun: 4 },
    { kind: 'sync-parent' },
  ])
})

test.each([
  ['a shortened string', [opened('/d/f', 'O_RDWR', 5), `7 write(5, ${hex('abc')}..., 99) = 99`]],
  ['a write that leaves a hole', [opened('/d/f', 'O_RDWR', 5), `7 pwrite64(5, ${hex('a')}, 1, 9) = 1`]],
  [
    'a file that is mapped to be written',
    [
      opened('/d/f', 'O_RDWR', 5),
      '7 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 5, 0) = 0x7f0000000000',
    ],
  ],
  ['a link', [`7 link(${hex('/d/f')}, ${hex('/d/g')}) = 0`]],
  ['a rename out of the directory', [`7 rename(${hex('/d/f')}, ${hex('/e/f')}) = 0`]],
  ['a line of another kind', ['strace: Process 7 attached']],
])('%s ends the recording', (_what, lines) => {
  expect(() => read(lines, { f: 0 })).toThrow(RecordingError)
})
