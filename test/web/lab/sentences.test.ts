// Sentences of the lab about a run: notes as sentences, the newest that matters as the caption, faults that last.

import { describe, expect, it } from 'vitest'
import { formatLink, Lab, labSchedule, parseNewLine } from '../../../jepsen-lite/lab/index.ts'
import {
  crashLine,
  cutLinkLine,
  cutOffLine,
  deafLine,
  freeClient,
  joinLine,
  messageLine,
  pauseLine,
  readLine,
  removeLine,
  slowDiskLine,
  transferLine,
  writeLine,
} from '../../../web/src/lab/line-texts.ts'
import { lineWords, linkLines, withoutLastLine } from '../../../web/src/lab/link-lines.ts'
import { activeFaults, captionOf, sentenceOf, sentencesOf } from '../../../web/src/lab/sentences.ts'

const textOf = (text: string, node: string | undefined = 'n1'): string | undefined =>
  sentenceOf({ at: 0, node, text, source: undefined })?.text

/** A run in which the leader n1 is cut off after a write, and another node leads. */
function played(): Lab {
  const lab = new Lab(labSchedule(7))
  const act = (line: string): void => void lab.add(parseNewLine(line))
  lab.runTo(4000)
  act(writeLine(0, 'leader'))
  lab.runTo(4600)
  act(cutOffLine('leader', 5000))
  act(readLine('stale', 1, 'n2'))
  lab.runTo(8000)
  act(crashLine('n3', 500))
  act(transferLine('n2'))
  lab.runTo(9000)
  return lab
}

describe('the notes of a run', () => {
  const notes = played().view().notes
  const sentences = sentencesOf(notes)

  it('are sentences without the words of the simulator', () => {
    expect(sentences.length).toBeGreaterThan(10)
    for (const { text } of sentences) {
      expect(text).toMatch(/^[nc]\d|^(The|A|Entry) /)
      expect(text).toMatch(/\.$/)
      expect(text).not.toMatch(/[{}"]|replica \d|undefined|NaN/)
    }
  })

  it('tell the story', () => {
    const story = sentences.filter(({ isMinor }) => !isMinor).map(({ text }) => text)
    expect(story).toEqual(
      expect.arrayContaining([
        'c1 asks n5 to write c1.0 to k0.',
        'n5 answers c1: written, at revision 2.',
        'n5 is cut off from all others for 5.0 s.',
        'n4 requests votes for term 3: a majority would elect it.',
        'n4 leads term 3: the votes of n4, n2 and n1 are a majority.',
        'n3 is killed. It starts again after 0.5 s.',
        'n2 requests votes for term 4: the leader hands over.',
      ]),
    )
  })

  it('name the faults that last', () => {
    const at = (now: number) => activeFaults(notes, now).map(({ text }) => text)
    expect(at(8100)).toEqual(['n5 is cut off', 'n3 is down'])
    expect(at(9000)).toEqual(['n5 is cut off'])
    expect(at(10_000)).toEqual([])
  })
})

describe('the caption', () => {
  it('is the newest sentence that matters', () => {
    const leads = { at: 1, text: 'n1 leads.', source: 'paper §5.2', isMinor: false }
    const follows = { at: 2, text: 'n2 follows n1.', source: undefined, isMinor: true }
    expect(captionOf([leads, follows])).toBe(leads)
    expect(captionOf([follows])).toBe(follows)
    expect(captionOf([])).toBeUndefined()
  })
})

it.each([
  ['connected to a peer', undefined],
  ['follower in term 2: no quorum for 2035 ms', /no longer leads: .* no majority for 2\.0 s/],
  ['follower in term 3: lost the election', 'n1 has lost the election of term 3.'],
  ['refuses c1: not_leader', 'n1 refuses the request of c1: not leader. It was certainly not carried out.'],
  ['leaves c1 in doubt: timeout', /c1 cannot know whether/],
  ['answers c2: [{"value":null,"revision":0}]', 'n1 answers c2: there is no value.'],
  ['something new', 'n1: something new'],
])('%s: %s', (note, sentence) => {
  if (sentence instanceof RegExp) expect(textOf(note)).toMatch(sentence)
  else expect(textOf(note)).toBe(sentence)
})

describe('the lines of a person', () => {
  it.each([
    writeLine(0, 'leader'),
    writeLine(2, 'n3', 1),
    readLine('get', 0, 'n1'),
    readLine('lease', 0, 'n1'),
    readLine('stale', 0, 'n1'),
    cutOffLine('leader', 5000),
    cutLinkLine('n1', 'n2', 500),
    deafLine('n4', 'in', 500),
    deafLine('n4', 'out', 500),
    crashLine('n5', 500),
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

  it('leave the last one out', () => {
    const link = 'seed=7;3001:put,client=0;4747:get,client=1;3401:isolate,target=leader'
    expect(linkLines(link).map(lineWords)).toEqual(['write', 'cut', 'read'])
    expect(withoutLastLine(link)).toEqual({
      link: 'seed=7;3001:put,client=0;3401:isolate,target=leader',
      line: { at: 4747, kind: 'get', text: '4747:get,client=1' },
    })
    expect(withoutLastLine('seed=7')).toBeUndefined()
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
  expect(freeClient(all.map((each) => ({ ...each, outcome: 'waits' })))).toBeUndefined()
})
