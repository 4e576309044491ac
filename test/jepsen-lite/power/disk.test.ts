// The rules of the disk, each on a trace made by hand: what may be left, and what may not.

import { describe, expect, test } from 'vitest'
import { type DiskEvent, DiskImage } from '../../../jepsen-lite/power/disk.ts'
import { statesAt } from '../../../jepsen-lite/power/states.ts'
import { Random } from '../../../jepsen-lite/workload/random.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (data: Uint8Array): string => new TextDecoder().decode(data)

/** Everything that may lie in the directory after these events, as `name=content` in the order of names. */
function left(events: readonly DiskEvent[], start: Record<string, string> | 'none' = {}): Set<string> {
  const disk = new DiskImage(
    start === 'none'
      ? undefined
      : new Map(Object.entries(start).map(([name, content]) => [name, bytes(content)])),
  )
  for (const event of events) disk.add(event)
  const rendered = statesAt(disk, new Random(1), 2000).map(({ state }) => {
    if (state === undefined) return 'gone'
    const files = [...state].map(([name, content]) => `${name}=${text(disk.readContent(content))}`)
    return files.sort().join(' ')
  })
  return new Set(rendered)
}

const create = (name: string, file: number): DiskEvent => ({ kind: 'create', name, file })
const write = (file: number, at: number, data: string): DiskEvent => ({
  kind: 'write',
  file,
  at,
  data: bytes(data),
})
const sync = (file: number, begun: number): DiskEvent => ({ kind: 'sync', file, begun })

describe('data', () => {
  test('that was appended may end after any byte, and never has a hole', () => {
    const states = left([write(-1, 1, 'bc'), write(-1, 3, 'd')], { f: 'a' })
    expect(states).toEqual(new Set(['f=a', 'f=ab', 'f=abc', 'f=abcd']))
  })

  test('that was synced is there', () => {
    const states = left([write(-1, 0, 'ab'), sync(-1, 1), write(-1, 2, 'c')], { f: '' })
    expect(states).toEqual(new Set(['f=ab', 'f=abc']))
  })

  test('that was written while a sync was under way may be gone', () => {
    const states = left([write(-1, 0, 'a'), write(-1, 1, 'b'), sync(-1, 1)], { f: '' })
    expect(states).toEqual(new Set(['f=a', 'f=ab']))
  })

  test('of one file tells nothing of another', () => {
    const states = left([write(-1, 0, 'a'), write(-2, 0, 'b'), sync(-2, 2)], { f: '', g: '' })
    expect(states).toEqual(new Set(['f= g=b', 'f=a g=b']))
  })

  test('that was written over may be old, new or mixed, whatever came later', () => {
    const states = left([write(-1, 0, 'AB'), write(-1, 0, 'ab')], { f: '12' })
    expect(states).toEqual(new Set(['f=12', 'f=AB', 'f=ab', 'f=A2', 'f=1B', 'f=aB', 'f=Ab', 'f=a2', 'f=1b']))
  })

  test('that was cut off may be back', () => {
    const states = left([{ kind: 'truncate', file: -1, length: 1 }, write(-1, 1, 'x')], { f: 'abc' })
    expect(states).toEqual(new Set(['f=abc', 'f=a', 'f=ax']))
  })
})

describe('names', () => {
  test('become durable in the order made', () => {
    const states = left(
      [create('a', 1), { kind: 'rename', from: 'a', to: 'b' }, { kind: 'unlink', name: 'x' }],
      {
        x: '',
      },
    )
    expect(states).toEqual(new Set(['x=', 'a= x=', 'b= x=', 'b=']))
  })

  test('are durable after a sync of the directory, as far as they were made when it began', () => {
    const events: DiskEvent[] = [create('a', 1), create('b', 2), { kind: 'sync-directory', begun: 1 }]
    expect(left(events)).toEqual(new Set(['a=', 'a= b=']))
  })

  test('of new files are durable with the file, and all before with them', () => {
    const events: DiskEvent[] = [{ kind: 'unlink', name: 'x' }, create('a', 1), create('b', 2), sync(1, 3)]
    expect(left(events, { x: '' })).toEqual(new Set(['a=', 'a= b=']))
  })

  test('do not vouch for data', () => {
    const events: DiskEvent[] = [create('a', 1), write(1, 0, 'z'), { kind: 'sync-directory', begun: 2 }]
    expect(left(events)).toEqual(new Set(['a=', 'a=z']))
  })

  test('given anew to a synced file may be the old ones', () => {
    const events: DiskEvent[] = [
      ...[create('new', 1), write(1, 0, 'n'), sync(1, 2)],
      { kind: 'rename', from: 'new', to: 'f' },
      sync(1, 4),
    ]
    expect(left(events, { f: 'o' })).toEqual(new Set(['f=o new=n', 'f=n']))
  })

  test('are gone with a directory that is new, until the one above is synced', () => {
    const events: DiskEvent[] = [{ kind: 'mkdir' }, create('a', 1), sync(1, 2)]
    expect(left([], 'none')).toEqual(new Set(['gone']))
    expect(left(events, 'none')).toEqual(new Set(['gone', 'a=']))
    expect(left([...events, { kind: 'sync-parent' }], 'none')).toEqual(new Set(['a=']))
  })
})
