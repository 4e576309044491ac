// Actions of a person: the lines that they add to the schedule, and how the page shows them. The engine reads the
// lines, as the worker does.

import { describe, expect, it } from 'vitest'
import { Lab, labSchedule, parseNewLine } from '../../../jepsen-lite/lab/index.ts'
import { cutsLink, healWord } from '../../../web/src/lab/active-faults.ts'
import {
  crashLine,
  cutLinkLine,
  cutOffLine,
  deafLine,
  healLine,
  partitionLine,
  pauseLine,
  slowDiskLine,
} from '../../../web/src/lab/line-texts.ts'
import { besideLine, LINE_MIN, sideRuns, sideShape, smallerSide } from '../../../web/src/lab/partition.ts'
import { nodePlace, ringOf } from '../../../web/src/lab/ring-layout.ts'

const STARTED_MS = 4000

/** The lab with these lines, a moment later. */
function labWith(...lines: readonly string[]): Lab {
  const lab = new Lab(labSchedule(7))
  lab.runTo(STARTED_MS)
  for (const line of lines) lab.add(parseNewLine(line))
  lab.runTo(STARTED_MS + 2)
  return lab
}

describe('a fault that lasts', () => {
  it.each([
    [cutOffLine('n1', 3000), 'n1 is cut off', 'Heal', 8],
    [partitionLine(['n1', 'n2'], 3000), 'n1 and n2 are cut off', 'Heal', 12],
    [cutLinkLine('n2', 'n5', 3000), 'n2 → n5 is cut', 'Heal', 1],
    [deafLine('n4', 'in', 3000), 'n4 hears nobody', 'Heal', 4],
    [deafLine('n4', 'out', 3000), 'nobody hears n4', 'Heal', 4],
    [crashLine('n3', 3000), 'n3 is down', 'Start again', 0],
    [pauseLine('n3', 3000), 'n3 is paused', 'Continue', 0],
    [slowDiskLine('n3', 3000), 'n3 has a slow disk', 'Heal', 0],
  ])('%s has words, and is healed', (line, words, heals, cutLinks) => {
    const lab = labWith(line)
    const { faults, nodes, cuts } = lab.view()
    const [fault] = faults
    if (fault === undefined) expect.fail('no fault lasts')
    expect([fault.text, healWord(fault)]).toEqual([words, heals])
    const members = nodes.slice(0, 5).map(({ name }) => name)
    const isMember = ({ from, to }: { readonly from: string; readonly to: string }) =>
      members.includes(from) && members.includes(to)
    const links = members.flatMap((from) => members.map((to) => ({ from, to })))
    const cut = links.filter((link) => link.from !== link.to && cutsLink(fault, link))
    expect(cut).toHaveLength(cutLinks)
    expect(cuts.filter(isMember)).toEqual(cut)
    lab.add(parseNewLine(healLine(fault)))
    lab.runTo(STARTED_MS + 10)
    expect(lab.view().faults).toEqual([])
    expect(lab.view().cuts).toEqual([])
  })
})

describe('a line through the ring', () => {
  const places = [0, 1, 2, 3, 4].map((at) => nodePlace(at, 5))
  const all = ['n1', 'n2', 'n3', 'n4', 'n5']
  it.each([
    ['from top to bottom', { x: 240, y: 10 }, { x: 250, y: 500 }, [0, 3, 4]],
    ['the other way', { x: 250, y: 500 }, { x: 240, y: 10 }, [1, 2]],
    ['below the first node', { x: 100, y: 150 }, { x: 380, y: 150 }, [1, 2, 3, 4]],
    ['beside the ring', { x: 2, y: 10 }, { x: 2, y: 500 }, []],
    ['too short', { x: 240, y: 200 }, { x: 240, y: 200 + LINE_MIN - 1 }, []],
  ])('%s', (_, from, to, side) => {
    expect(besideLine(from, to, places)).toEqual(side)
  })

  it('cuts off the smaller side, and never all', () => {
    expect(smallerSide(['n3', 'n4', 'n5'], all)).toEqual(['n1', 'n2'])
    expect(smallerSide(['n5', 'n2'], all)).toEqual(['n2', 'n5'])
    expect(smallerSide(['n1', 'n2'], all.slice(0, 4))).toEqual(['n3', 'n4'])
    expect(smallerSide([], all)).toBeUndefined()
    expect(smallerSide(all, all)).toBeUndefined()
  })
})

describe('the wall of a partition', () => {
  it('surrounds each run of neighbours', () => {
    expect(sideRuns([true, false, false, true, true])).toEqual([{ first: 3, count: 3 }])
    expect(sideRuns([true, false, true, false])).toEqual([
      { first: 0, count: 1 },
      { first: 2, count: 1 },
    ])
    expect(sideRuns([true, true])).toEqual([])
    expect(sideRuns([false, false])).toEqual([])
  })

  it.each([2, 3, 4, 5, 6, 7])('passes between the nodes of %i', (count) => {
    const ring = ringOf(count)
    for (let size = 1; size < count; size++) {
      const { wall } = sideShape(ring, { first: 0, count: size })
      const [x1 = 0, y1 = 0, x = 0, y = 0, x2 = 0, y2 = 0] = (wall.match(/-?[\d.]+/g) ?? []).map(Number)
      for (let step = 0; step <= 20; step++) {
        const t = step / 20
        const [a, b, c] = [(1 - t) ** 2, 2 * t * (1 - t), t ** 2]
        const point = { x: a * x1 + b * x + c * x2, y: a * y1 + b * y + c * y2 }
        for (let at = 0; at < count; at++) {
          const place = nodePlace(at, count)
          expect(Math.hypot(point.x - place.x, point.y - place.y)).toBeGreaterThan(40)
        }
      }
    }
  })
})
