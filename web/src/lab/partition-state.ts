// The partition that a person is about to make: by a line through the ring, or by choosing the nodes of one side.

import { computed, effect, signal } from '@preact/signals'
import { client, faultMs, nodes, picked } from './lab-state.ts'
import { partitionLine } from './line-texts.ts'
import { besideLine, smallerSide } from './partition.ts'
import { nodePlace, type Point } from './ring-layout.ts'

/** The nodes that were chosen for one side, while somebody chooses. */
export const chosen = signal<readonly string[]>([])
effect(() => {
  if (picked.value?.kind !== 'partition') chosen.value = []
})
/** The line that is being drawn, on the stage. */
export const drawnLine = signal<{ readonly from: Point; readonly to: Point }>()

/** The smaller side of the line, or of the choice; undefined: there are not two sides. */
export const drawnSide = computed(() => {
  const all = nodes.value.map(({ name }) => name)
  const line = drawnLine.value
  if (line === undefined) return smallerSide(chosen.value, all)
  const places = all.map((_, at) => nodePlace(at, all.length))
  const beside = besideLine(line.from, line.to, places)
  return smallerSide(
    all.filter((_, at) => beside.includes(at)),
    all,
  )
})

export function choose(name: string): void {
  const { value } = chosen
  chosen.value = value.includes(name) ? value.filter((other) => other !== name) : [...value, name]
  picked.value = { kind: 'partition' }
}

/** Cuts off the side that is drawn or chosen. */
export function cutOffSide(): void {
  const side = drawnSide.value
  drawnLine.value = undefined
  if (side === undefined) return
  chosen.value = []
  client.act(partitionLine(side, faultMs.value))
}
