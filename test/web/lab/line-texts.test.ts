// The lines that a person adds to a schedule.

import { describe, expect, it } from 'vitest'
import { formatLink, Lab, labSchedule, parseNewLine } from '../../../jepsen-lite/lab/index.ts'
import {
  compactLogLine,
  crashLine,
  cutLinkLine,
  cutOffLine,
  deafLine,
  freeClient,
  fullDiskLine,
  healLine,
  joinLine,
  jumpLine,
  leasesLine,
  lockLine,
  messageLine,
  partitionLine,
  pauseLine,
  type RequestKind,
  removeLine,
  replaceLine,
  requestLine,
  skewLine,
  slowDiskLine,
  stallDiskLine,
  standStillLine,
  transferLine,
  writeLine,
} from '../../../web/src/lab/line-texts.ts'
import { lineWords, linkLines, withoutLastLine } from '../../../web/src/lab/link-lines.ts'

const REQUESTS: readonly RequestKind[] = [
  ...(['get', 'lease', 'stale', 'del', 'cas', 'create', 'once', 'again'] as const),
  ...(['watch', 'grant', 'attach', 'keep-alive', 'revoke', 'compact'] as const),
]

describe('the lines of a person', () => {
  it.each([
    writeLine(0, 'leader'),
    writeLine(2, 'n3', 1),
    ...REQUESTS.map((kind) => requestLine(kind, 1, 'n2', 3)),
    ...(['lock', 'release', 'write', 'fenced-write'] as const).map((kind) => lockLine(kind, 1, 'n2')),
    standStillLine(1, 'n2', 6000),
    cutOffLine('leader', 5000),
    cutLinkLine('n1', 'n2', 500),
    deafLine('n4', 'in', 500),
    deafLine('n4', 'out', 500),
    crashLine('n5', 500),
    crashLine('n5', 500, 'kept', true),
    stallDiskLine('n1', 500),
    fullDiskLine('n1', 500),
    jumpLine('n1', 1000),
    skewLine('n1', 3000, 500),
    compactLogLine('n1', 500),
    leasesLine(true),
    partitionLine(['n1', 'n4'], 500),
    healLine({ kind: 'one-way', nodes: ['n1', 'n2'] }),
    replaceLine('n4', ['n1', 'n2', 'n4']),
    pauseLine('n1', 500),
    slowDiskLine('n1', 500),
    transferLine('n2'),
    joinLine('n6'),
    removeLine('n4', ['n1', 'n2', 'n4']),
    messageLine({ from: 'n1', to: 'n2', number: 12 }, 'late', 300),
  ])('are lines of a schedule: %s', (line) => {
    const lab = new Lab(labSchedule(1))
    lab.add(parseNewLine(line))
    const link = formatLink(lab.schedule)
    expect(link).toBe(`seed=1;1:${line}`)
    expect(linkLines(link)).toEqual([{ at: 1, kind: line.split(',')[0], text: `1:${line}` }])
  })

  it('about the lock are requests of the client that was chosen', () => {
    const lab = new Lab(labSchedule(1))
    const [taken, still, written] = [
      lockLine('lock', 1, 'leader'),
      standStillLine(1, 'n1', 6000),
      lockLine('fenced-write', 1, 'leader'),
    ]
    for (const line of [taken, still, written]) {
      lab.runTo(lab.now + 4000)
      lab.add(parseNewLine(line))
    }
    const asked = () => lab.view().operations.map(({ client, text }) => `${client}: ${text}`)
    lab.runTo(13_000)
    expect(asked()).toEqual(['c2: take the lock'])
    lab.runTo(14_100)
    expect(asked()).toEqual(['c2: take the lock', 'c2: write c2.0 with token 2'])
  })

  it.each([
    [lockLine('release', 0, 'n1'), 'release of the lock'],
    [lockLine('fenced-write', 0, 'n1'), 'write with a fencing token'],
    [standStillLine(0, 'n1', 6000), 'standstill of a client'],
    ['remove-many,asked=0,places=(3+4)', 'removal of members'],
  ])('%s has words', (line, words) => {
    expect(linkLines(`seed=1;1:${line}`).map(lineWords)).toEqual([words])
  })

  it('leave the last one out', () => {
    const link = 'seed=7;3001:put,client=0;4747:get,client=1;3401:isolate,target=leader'
    expect(linkLines(link).map(lineWords)).toEqual(['write', 'cut', 'read'])
    expect(withoutLastLine(link)).toEqual({
      link: 'seed=7;3001:put,client=0;3401:isolate,target=leader',
      line: { at: 4747, kind: 'get', text: '4747:get,client=1' },
    })
    expect(withoutLastLine('seed=7')).toBeUndefined()
    expect(withoutLastLine(link, 'seed=7;3001:put,client=0')?.line.at).toBe(4747)
    expect(withoutLastLine(link, link)).toBeUndefined()
  })
})

it('finds a client that waits for nothing', () => {
  const operation = {
    id: 1,
    node: 'n1',
    kind: 'write',
    text: '',
    from: 0,
    until: undefined,
    answer: '',
  } as const
  const all = (['waits', 'ok', 'waits'] as const).map((outcome, at) => ({
    ...operation,
    ...{ client: `c${at + 1}`, outcome },
  }))
  expect(freeClient([])).toBe(0)
  expect(freeClient(all)).toBe(1)
  expect(freeClient(all, new Map([['c2', 'c2 stands still']]))).toBeUndefined()
  expect(freeClient(all.map((each) => ({ ...each, outcome: 'waits' })))).toBeUndefined()
})
