// Notes of a run: what happened, as a sentence without the words of the simulator, and the faults that last.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, test } from 'vitest'
import { captionOf } from '../../../jepsen-lite/lab/captions.ts'
import { activeText, eventCaption } from '../../../jepsen-lite/lab/event-captions.ts'
import { Lab, labSchedule, parseLink, parseNewLine, parseRunFile } from '../../../jepsen-lite/lab/index.ts'
import { LabRun } from '../../../jepsen-lite/lab/lab-run.ts'
import { messageLabel } from '../../../jepsen-lite/lab/message-label.ts'
import { plainly } from '../../../jepsen-lite/sim/faults/fault-builders.ts'
import type { FaultAction } from '../../../jepsen-lite/sim/faults/fault-kinds.ts'
import { generate } from '../../../jepsen-lite/sim/index.ts'
import type { SimEvent } from '../../../jepsen-lite/sim/sim-event.ts'
import { loadRule } from '../../../jepsen-lite/wrong-rules/load-rule.ts'
import {
  asIndex,
  asReplicaId,
  asTerm,
  type Decision,
  type Message,
  type VoteRefusal,
} from '../../../src/raft/index.ts'

const FIGURE_8 = join(import.meta.dirname, '../../../docs/learn/lessons/runs/commit-of-earlier-term.txt')
const CUT = 'stalls=false,refuses=false,breaks=false'

/** An append of so many entries. */
const appendOf = (prevIndex: number, count: number) =>
  ({ type: 'append', prevIndex: asIndex(prevIndex), entries: Array(count).fill({}) }) as unknown as Message

/** A run in which the leader n5 is cut off after a write, and another node leads. */
function played(): Lab {
  const lab = new Lab(labSchedule(7))
  const act = (line: string): void => void lab.add(parseNewLine(line))
  lab.runTo(4000)
  act('put,client=0,node=leader,key=0,x=41')
  lab.runTo(4600)
  act(`isolate,target=leader,ms=5000,${CUT}`)
  act('stale,client=1,node=1,key=0,x=41')
  lab.runTo(8000)
  act('crash,target=2,point=now,skip=0,inFlight=lost,silent=false,ms=500')
  act('transfer,target=leader,to=1')
  return lab
}

describe('the notes of a run', () => {
  it('are sentences without the words of the simulator', () => {
    const lab = played()
    lab.runTo(10_000)
    const { notes } = lab.view()
    expect(notes.length).toBeGreaterThan(10)
    for (const { text } of notes) {
      expect(text).toMatch(/^([nc]\d|The|What|A|Entry) ?/)
      expect(text).toMatch(/\.$/)
      expect(text).not.toMatch(/[{}"]|replica \d|undefined|NaN/)
    }
  })

  it('say of a deleted entry only what its node knew', () => {
    const lab = played()
    lab.runTo(4700)
    lab.add(parseNewLine('put,client=1,node=4,key=0,x=41'))
    lab.runTo(5000)
    lab.add(parseNewLine('put,client=2,node=4,key=0,x=41'))
    lab.runTo(12_000)
    expect(lab.view().notes.map(({ text }) => text)).toContain(
      'n5 deletes entries 4 to 5, which it did not know to be committed: n4 has others there.',
    )
  })

  it('tell the story', () => {
    const lab = played()
    lab.runTo(10_000)
    const story = lab.view().notes.flatMap(({ kind, text, isMinor }) => (isMinor ? [] : [`${kind}: ${text}`]))
    expect(story).toEqual(
      expect.arrayContaining([
        'request: c1 asks n5 to write c1.0 to k0.',
        'answer: n5 answers c1: written, at revision 2.',
        'fault: n5 is cut off from all others for 5.0 s.',
        'campaign: n4 requests votes for term 3: a majority would elect it.',
        'elected: n4 leads term 3: the votes of n4, n2 and n1 are a majority.',
        'quorum-lost: n5 no longer leads term 2: it has had no contact to a majority for 2.0 s, so others may have a leader.',
        'fault: n3 is killed. It starts again after 0.5 s.',
        'started: n3 starts again, with what its disk has.',
        'campaign: n2 requests votes for term 4: the leader hands over.',
        'fault-ended: n5 is connected to all others again.',
      ]),
    )
    // The decision of the core has said so.
    expect(story.filter((text) => text.startsWith('role'))).toEqual([])
  })

  it('name the leader that a node follows', () => {
    const lab = new Lab(labSchedule(7))
    lab.runTo(4000)
    const { nodes, notes } = lab.view()
    const leader = nodes.find(({ role }) => role === 'leader')?.name ?? expect.fail()
    expect(notes).toContainEqual(
      expect.objectContaining({ kind: 'role', text: `n1 follows ${leader} in term 2.`, isMinor: true }),
    )
  })
})

test('a note names the leader that a node follows again after its own campaign', () => {
  const lines = [
    `4000:deaf,target=0,direction=out,ms=60000,${CUT}`,
    '4001:slow-link,from=2,delayMs=1400,ms=60000',
  ]
  const lab = new Lab(parseLink(['seed=7,nodes=3,spares=0', ...lines].join(';')))
  lab.runTo(6000)
  const told = lab.view().notes.filter(({ at, node }) => at > 4001 && node === 'n1')
  expect(told.map(({ kind, text }) => `${kind}: ${text}`)).toEqual([
    'campaign: n1 has received nothing from a leader for too long, and asks whether it would be elected in term 3.',
    'role: n1 follows n3 in term 2.',
  ])
})

test('a node does not say the same twice, whatever others say in between', () => {
  const { rule: _, ...schedule } = parseRunFile(readFileSync(FIGURE_8, 'utf8')).schedule
  const run = new LabRun(schedule)
  run.runTo(12_000)
  const before = new Map<string | undefined, string>()
  for (const { node, text, source } of run.view().notes) {
    if (source !== undefined) expect(text).not.toBe(before.get(node))
    before.set(node, text)
  }
})

describe('the sentence about a commit', () => {
  const commitsOf = (link: string): readonly { readonly text: string; readonly source?: string }[] => {
    const run = new LabRun(parseLink(link))
    run.runTo(9000)
    return run
      .view()
      .notes.flatMap(({ kind, text, source }) =>
        kind === 'committed' ? [{ text, ...(source !== undefined && { source }) }] : [],
      )
  }

  it('says what the entry is', () => {
    expect(commitsOf('seed=1')[0]?.text).toMatch(/^Entry 2 \(new term\) is committed: /)
  })

  it('names both majorities while voters change', () => {
    const joint = commitsOf('seed=1;2000:remove-many,asked=0,places=(3+4)').filter(
      ({ source }) => source === 'paper §6',
    )
    expect(joint.map(({ text }) => text)).toContainEqual(
      expect.stringMatching(/, a majority of the old voters and a majority of the new voters\.$/),
    )
  })

  it('cites no paper for a wrong rule', async () => {
    await loadRule('commit-of-earlier-term')
    for (const { source } of commitsOf('seed=1,rule=commit-of-earlier-term')) expect(source).toBeUndefined()
    expect(commitsOf('seed=1').map(({ source }) => source)).toContain('paper §5.3')
  })
})

describe('the next decision', () => {
  it('is where the next note is that is not minor', () => {
    const lab = new Lab(labSchedule(7))
    const told = Array.from({ length: 4 }, () => {
      lab.skip()
      return lab.view().notes.at(-1)
    })
    expect(told.map((note) => note?.isMinor)).toEqual([false, false, false, false])
    expect(told.map((note) => note?.at)).toEqual(
      [...told.map((note) => note?.at)].sort((a = 0, b = 0) => a - b),
    )
    const whole = new Lab(labSchedule(7))
    whole.runTo(lab.now + 0.001)
    const isTold = ({ isMinor }: { readonly isMinor: boolean }): boolean => !isMinor
    expect(whole.view().notes.filter(isTold).slice(0, 4)).toEqual(told)
  })

  it('is not waited for without end', () => {
    const lab = new Lab(labSchedule(7, { nodes: 1, spares: 0 }))
    lab.runTo(8000)
    lab.skip()
    expect([lab.now, lab.end]).toEqual([18_000, 18_000])
    lab.runTo(599_000)
    lab.skip()
    expect(lab.now).toBe(600_000)
  })
})

test('a view has the faults that last', () => {
  const lab = played()
  const at = (ms: number) => {
    lab.runTo(ms)
    return lab.view().faults
  }
  const isCutOff = { kind: 'isolate', nodes: ['n5'], text: 'n5 is cut off', until: 9601 }
  expect(at(8100)).toMatchObject([
    isCutOff,
    { kind: 'crash', nodes: ['n3'], text: 'n3 is down', until: 8501 },
  ])
  expect(at(9000)).toMatchObject([isCutOff])
  expect(at(10_000)).toEqual([])
})

test('a cut that lasts until its node is deposed outlasts another leader', () => {
  const lab = new Lab(labSchedule(7))
  lab.runTo(4000)
  const leader = lab.view().nodes.findIndex(({ role }) => role === 'leader')
  const follower = (leader + 1) % 5
  lab.add(
    parseNewLine(
      `half-deaf,target=${follower},unheardBy=(),deafTo=(${leader}),ms=30000,${CUT},until=deposed`,
    ),
  )
  lab.add(parseNewLine(`transfer,target=leader,to=${(leader + 2) % 5}`))
  lab.runTo(6000)
  expect(lab.view().nodes[leader]?.role).toBe('follower')
  expect(lab.view().cuts).toEqual([{ from: `n${leader + 1}`, to: `n${follower + 1}` }])
})

test('a fault that is healed has its end as a note', () => {
  const lab = new Lab(labSchedule(7))
  lab.runTo(4000)
  lab.add(parseNewLine('slow-disk,target=0,factor=30,ms=9000'))
  lab.runTo(4100)
  lab.add(parseNewLine('heal,fault=slow-disk,target=0'))
  lab.runTo(4200)
  expect(
    lab
      .view()
      .notes.map(({ kind, text }) => `${kind}: ${text}`)
      .slice(-2),
  ).toEqual(['fault: The disk of n1 is slow for 9.0 s.', 'fault-ended: The disk of n1 is as fast as before.'])
})

test.each<readonly [FaultAction, readonly [strikes: string, lasts: string, ends: string | undefined]]>([
  [
    { kind: 'deaf', target: 0, direction: 'in', ...plainly(1500) },
    ['n1 hears no other node for 1.5 s.', 'n1 hears nobody', 'n1 is connected to all others again.'],
  ],
  [
    { kind: 'deaf', target: 0, direction: 'out', ...plainly(1500) },
    ['No other node hears n1 for 1.5 s.', 'nobody hears n1', 'n1 is connected to all others again.'],
  ],
  [
    { kind: 'skew', target: 0, perMille: 200, ms: 1500 },
    [
      'The clock of n1 counts 0.2 s in a second for 1.5 s.',
      'the clock of n1 is slow',
      'The clock of n1 is as fast as before.',
    ],
  ],
  [
    { kind: 'skew', target: 0, perMille: 3000, ms: 1500 },
    [
      'The clock of n1 counts 3.0 s in a second for 1.5 s.',
      'the clock of n1 is fast',
      'The clock of n1 is as fast as before.',
    ],
  ],
  [
    { kind: 'compact-log', target: 0, ms: 1500 },
    [
      'n1 deletes entries of its log that its store has applied for 1.5 s.',
      'n1 keeps no old entries',
      undefined,
    ],
  ],
  [
    { kind: 'full-disk', target: 0, ms: 1500 },
    ['The disk of n1 is full for 1.5 s.', 'the disk of n1 is full', 'The disk of n1 has room again.'],
  ],
])('%j has its sentences', (fault, sentences) => {
  const nodes = ['n1']
  const captions = (['fault', 'fault-ended'] as const).map(
    (kind) => eventCaption('', { kind, fault, nodes }, () => '')?.text,
  )
  expect([captions[0], activeText(fault, nodes), captions[1]]).toEqual(sentences)
})

test.each<readonly [Message, string]>([
  [appendOf(7, 0), 'no entries after 7'],
  [appendOf(7, 1), 'entry 8'],
  [appendOf(7, 3), 'entries 8 to 10'],
])('an append of some entries says which', (message, text) => {
  expect(messageLabel(message)).toBe(text)
})

describe('a fault of several nodes', () => {
  const cut = { ms: 500, stalls: false, refuses: false, breaks: false }
  const place = { target: 0, companion: 1, from: 0, to: 1 }
  const faults: readonly FaultAction[] = [
    { kind: 'isolate', ...place, ...cut },
    { kind: 'one-way', ...place, ...cut },
    { kind: 'partition', side: [0, 1], ...cut },
    { kind: 'crash-many', places: [0, 1], inFlight: ['lost'], silent: false, ms: 500 },
    { kind: 'message', ...place, number: 1, fate: 'late', delayMs: 1 },
    { kind: 'transfer', ...place },
  ]

  it.each(faults)('$kind names each of them', (fault) => {
    for (const nodes of [
      ['n7', 'n8'],
      ['n8', 'n7'],
    ]) {
      const texts = [
        eventCaption('', { kind: 'fault', fault, nodes }, () => '')?.text,
        eventCaption('', { kind: 'fault-ended', fault, nodes }, () => '')?.text,
        ...('ms' in fault ? [activeText(fault, nodes)] : []),
      ]
      for (const text of texts.filter((one) => one !== undefined))
        expect(text.match(/n\d/g)?.slice(0, 2), text).toEqual(nodes)
    }
  })
})

test('a fault that its trigger ends early lasts no longer', () => {
  const lab = new Lab(labSchedule(7))
  lab.runTo(4000)
  lab.add(parseNewLine(`isolate,target=leader,ms=30000,${CUT},until=elected`))
  lab.runTo(4100)
  expect(lab.view().faults).toMatchObject([{ kind: 'isolate', until: 34_001 }])
  lab.runTo(9000)
  expect(lab.view().faults).toEqual([])
})

test.each<readonly [SimEvent, string | undefined]>([
  [{ kind: 'connection', text: 'connected to a peer' }, undefined],
  [
    { kind: 'role', role: 'follower', term: 3, leader: undefined, why: 'own disk stalls' },
    'n1 is a follower in term 3: own disk stalls.',
  ],
  [{ kind: 'role', role: 'leader', term: 3, leader: asReplicaId('1'), why: 'won the election' }, undefined],
  [
    { kind: 'refusal', client: 'c1', why: 'not_leader' },
    'n1 refuses the request of c1: not leader. It was certainly not carried out.',
  ],
  [
    { kind: 'unknown-outcome', client: 'c1', why: 'timeout' },
    'c1 cannot know whether its request to n1 was carried out: timeout.',
  ],
  [
    { kind: 'answer', client: 'c2', results: [{ value: null, revision: 0 }] },
    'n1 answers c2: there is no value.',
  ],
  [
    {
      kind: 'answer',
      client: 'c2',
      results: [{ applied: false, revision: 7 }, { revision: 8 }, 'too_large'],
    },
    'n1 answers c2: condition did not hold, store 7; written, at revision 8; too large.',
  ],
  [
    { kind: 'died', inFlight: 'lost', silent: true },
    'The process of n1 has died. What it was writing is lost.',
  ],
  [
    { kind: 'died', inFlight: 'kept', silent: false },
    'The process of n1 has died. What it was writing is on its disk.',
  ],
  [
    { kind: 'died', inFlight: 'torn', silent: false },
    'The process of n1 has died. What it was writing is on its disk in part.',
  ],
  [
    { kind: 'ended', why: 'this replica was removed from the cluster' },
    'n1 ends: it was removed from the cluster.',
  ],
])('%j', (event, text) => {
  expect(eventCaption('n1', event, () => 'n2')?.text).toBe(text)
})

const [one, two, three] = [asReplicaId('1'), asReplicaId('2'), asReplicaId('3')]
const [four, five, six] = [asTerm(4), asTerm(5), asTerm(6)]
const end = (index: number, term: number) => ({ index: asIndex(index), term: asTerm(term) })
const refused = (refusal: VoteRefusal): Decision => ({
  ...{ kind: 'vote', candidate: two, term: five, preVote: false, refusal },
})
const campaign = { kind: 'campaign', term: five, preVote: false, transfer: false } as const

test.each<readonly [Decision, string]>([
  [{ ...campaign, transfer: true }, 'requests votes for term 5: the leader hands over.'],
  [campaign, 'requests votes for term 5: a majority would elect it.'],
  [refused({ because: 'leader', leader: one }), 'refuses n2 its vote for term 5: it leads.'],
  [
    refused({ because: 'leader', leader: three }),
    'refuses n2 its vote for term 5: it is in contact with the leader n3.',
  ],
  [
    refused({ because: 'leader', leader: undefined }),
    'refuses n2 its vote for term 5: it has promised a leader not to vote yet.',
  ],
  [refused({ because: 'voted', for: three }), 'refuses n2 its vote for term 5: in that term it is for n3.'],
  [refused({ because: 'voted', for: undefined }), 'refuses n2 its vote for term 5: it may vote once.'],
  [
    refused({ because: 'log', own: end(4, 2), other: end(0, 0) }),
    'refuses n2 its vote for term 5: its log ends with entry 4 of term 2, the other one with nothing.',
  ],
  [
    { kind: 'append-rejected', leader: two, previous: end(7, 4), own: undefined },
    'rejects an append of n2 that follows entry 7 of term 4: its log is shorter.',
  ],
  [
    { kind: 'append-rejected', leader: two, previous: end(7, 4), own: asTerm(3) },
    'rejects an append of n2 that follows entry 7 of term 4: its own entry there is of term 3.',
  ],
  [{ kind: 'old-term', from: three, type: 'append', term: four }, 'ignores an append of n3: term 4 is over.'],
  [{ kind: 'election-lost', term: six, preVote: true }, 'has lost the pre-vote: a majority refuses.'],
  [
    { kind: 'election-lost', term: six, preVote: false },
    'has lost the election of term 6: a majority refuses.',
  ],
  [{ kind: 'elected', term: six, votes: [one] }, 'leads term 6: its own vote alone is a majority.'],
  [
    { kind: 'truncated', index: asIndex(4), last: asIndex(4), leader: two },
    'deletes entry 4, which it did not know to be committed: n2 has others there.',
  ],
  [
    { kind: 'snapshot', follower: three, atLeast: asIndex(9) },
    'sends n3 a snapshot: its log begins after entry 9.',
  ],
])('%j is a sentence', (decision, text) => {
  const nameOf = (id: string | undefined): string => (id === undefined ? 'nobody known' : `n${id}`)
  const scene = { nameOf, labelOf: String, configuration: undefined, rule: undefined }
  expect(captionOf('n1', decision, scene).text).toBe(`n1 ${text}`)
})

// Schedules of the simulator have all kinds of events and faults.
test.each([3, 5, 8])('drawn schedule %i has sentences', (seed) => {
  const lab = new Lab(generate(seed))
  for (let ms = 200; ms < 4000; ms += 200) {
    lab.runTo(ms)
    const { notes, faults } = lab.view()
    for (const { text } of [...notes, ...faults]) expect(text).not.toMatch(/undefined|NaN|\[object/)
    for (const { until } of faults) expect(until).toBeGreaterThanOrEqual(lab.now)
  }
})
