// Majorities of sides and labels of nodes while voters leave, in runs of lessons.

import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { Lab, parseLink } from '../../../jepsen-lite/lab/index.ts'
import { parseLesson } from '../../../jepsen-lite/lab/lessons/index.ts'
import type { MachineView } from '../../../jepsen-lite/lab/view.ts'
import { isMajority, sideLines } from '../../../web/src/lab/majorities.ts'
import { load } from '../page-modules.ts'

const { stateText } = await load<{ stateText(node: MachineView): string }>('lab/node-states.ts')

const labOf = (lesson: string): Lab => {
  const text = readFileSync(new URL(`../../../docs/learn/lessons/${lesson}.json`, import.meta.url), 'utf8')
  return new Lab(parseLink(parseLesson(text).steps[0]?.run ?? ''))
}
const linesOf = (lab: Lab, names: readonly string[]): string[] => {
  const { nodes } = lab.view()
  const shown = nodes.filter(
    ({ name, state, member }) => state !== 'down' || member !== 'none' || name === 'n1',
  )
  return sideLines(
    shown.filter(({ name }) => names.includes(name)),
    shown,
  )
}

it('each side counts by the configuration that is in force there', () => {
  const lab = labOf('two-majorities')
  lab.runTo(1670)
  expect(linesOf(lab, ['n1', 'n2'])).toEqual(['2 of 5', 'no majority'])
  // n1 has committed the change, and nobody on the other side knows it.
  lab.runTo(2200)
  expect(linesOf(lab, ['n1', 'n2'])).toEqual(['2 of 3 new', '2 of 5 old', 'no majority'])
  expect(linesOf(lab, ['n3', 'n4', 'n5'])).toEqual(['3 of 5', 'a majority'])
  // n5 leads there, and has committed the change as well.
  lab.runTo(3200)
  expect(linesOf(lab, ['n3', 'n4', 'n5'])).toEqual(['1 of 3 new', '3 of 5 old', 'no majority'])
})

it('a voter that leaves does not join, and a leader is called so', () => {
  const lab = labOf('two-majorities')
  lab.runTo(3200)
  expect(lab.view().nodes.map((node) => [node.name, node.member, stateText(node)])).toEqual([
    ['n1', 'voter', 'leader'],
    ['n2', 'voter', 'follower'],
    ['n3', 'voter', 'follower'],
    ['n4', 'voter', 'follower, leaves'],
    ['n5', 'voter', 'leader'],
  ])
})

it('a new node joins until it has the configuration, and a removed one is called so', () => {
  const lab = new Lab(parseLink('seed=7;4000:join,target=5;6000:remove,asked=leader,member=1,evenSmall=true'))
  const textOf = (at: number): string => {
    const node = lab.view().nodes[at]
    return node === undefined ? '' : stateText(node)
  }
  const seen = new Set<string>()
  while (lab.now < 9000) {
    lab.step()
    seen.add(textOf(5))
  }
  expect([...seen]).toEqual(expect.arrayContaining(['joins', 'learner', 'follower']))
  expect(seen).not.toContain('removed')
  expect(textOf(1)).toBe('removed')
})

it('a node that does not run counts for no majority', () => {
  const lab = new Lab(
    parseLink(
      'seed=1,nodes=3,spares=0;2000:crash,target=1,point=now,skip=0,inFlight=lost,silent=false,ms=3000;' +
        '2100:isolate,target=2,ms=3000,stalls=false,refuses=false,breaks=false',
    ),
  )
  lab.runTo(1900)
  expect(linesOf(lab, ['n1', 'n2'])).toEqual(['2 of 3', 'a majority'])
  lab.runTo(2500)
  expect(linesOf(lab, ['n1', 'n2'])).toEqual(['2 of 3', 'n2 not running', 'no majority'])
  expect(linesOf(lab, ['n3'])).toEqual(['1 of 3', 'no majority'])
})

it('a joint configuration needs both majorities', () => {
  const joint = { voters: ['n1', 'n2', 'n3'], votersOutgoing: ['n1', 'n2', 'n3', 'n4', 'n5'] }
  const has = (...names: readonly string[]) => isMajority(joint, (name) => names.includes(name))
  expect([has('n1', 'n2'), has('n3', 'n4', 'n5'), has('n1', 'n2', 'n4')]).toEqual([false, false, true])
})
