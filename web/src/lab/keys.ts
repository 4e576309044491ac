// Keys of the page. A key that an element has a use for itself is left to it.

import { client, cutOffLeader, healNewest, picked, write } from './lab-state.ts'
import { endLesson, hasLesson, openList, player } from './lesson/lesson-state.ts'

export const SHORTCUTS = [
  { shown: 'Space', text: 'play or pause' },
  { shown: '→', text: 'to the next event' },
  { shown: 'd', text: 'to the next decision' },
  { shown: '←', text: 'back 100 ms' },
  { shown: 'w', text: 'a client writes at the leader' },
  { shown: 'c', text: 'cut off the leader' },
  { shown: 'p', text: 'partition: choose the nodes of one side' },
  { shown: 'h', text: 'heal the newest fault' },
  { shown: 'Shift+Enter', text: 'at a node: choose it for one side of a partition' },
  { shown: 'l', text: 'the lessons' },
  { shown: 'n', text: 'in a lesson: continue' },
  { shown: 'b', text: 'in a lesson: back' },
  { shown: 'Esc', text: 'nothing is picked' },
  { shown: '?', text: 'these keys' },
] as const

interface KeyOptions {
  readonly backMs: number
  readonly showKeys: () => void
}

/** Follows the keyboard until the returned function is called. */
export function onKey({ backMs, showKeys }: KeyOptions): () => void {
  const actions: Readonly<Record<string, () => void>> = {
    ' ': () => client.togglePlay(),
    ArrowRight: () => client.step(),
    d: () => client.skip(),
    ArrowLeft: () => client.goBack(backMs),
    w: write,
    c: cutOffLeader,
    p: () => {
      picked.value = { kind: 'partition' }
    },
    h: healNewest,
    l: openList,
    n: continueLesson,
    b: () => hasLesson.peek() && player.back(),
    Escape: () => {
      picked.value = undefined
    },
    '?': showKeys,
  }
  const press = (event: KeyboardEvent): void => {
    const { key, ctrlKey, metaKey, altKey, target, defaultPrevented } = event
    const action = actions[key]
    if (action === undefined || ctrlKey || metaKey || altKey || defaultPrevented) return
    if (!(target instanceof Element) || target.closest('dialog') !== null || needsKey(target, key)) return
    event.preventDefault()
    action()
  }
  addEventListener('keydown', press)
  addEventListener('click', release)
  return () => {
    removeEventListener('keydown', press)
    removeEventListener('click', release)
  }
}

function continueLesson(): void {
  if (!player.canContinue.peek()) return
  if (player.isEnd.peek()) endLesson()
  else player.next()
}

/** A button that was clicked keeps the focus. The space bar shall play or pause all the same. */
function release({ detail, target }: MouseEvent): void {
  if (detail === 0 || !(target instanceof Element) || target.closest('dialog') !== null) return
  const focused = document.activeElement
  if (focused instanceof HTMLElement && focused.matches('button, summary, input[type="range"]'))
    focused.blur()
}

/** Fields need all keys, sliders the arrows, and what can be pressed the space bar. */
function needsKey(element: Element, key: string): boolean {
  if (element.matches('select, textarea, input:not([type="range"])')) return true
  if (element.matches('input[type="range"], [tabindex="0"]:not([role])')) return key.startsWith('Arrow')
  return key === ' ' && element.matches('button, summary, a, [role="button"]')
}
