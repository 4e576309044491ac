// The fragment of the URL is the run, and the moment at which it is shown while time stands still.

import { effect, type ReadonlySignal } from '@preact/signals'
import { linkMoment, linkOfFragment, withMoment } from '../../../jepsen-lite/lab/link-moment.ts'
import type { LabClient } from './lab-client.ts'

/** How long a moment is shown before it is in the address: browsers limit how often an address may change. */
const SETTLED_MS = 300

/** The address of the run, at the moment that is shown. */
export const presentAddress = (client: LabClient): string =>
  addressOf(withMoment(client.link.peek(), client.view.peek()?.now))

/** The address of this run on this page. */
export const addressOf = (link: string): string => `${location.href.split('#', 1)[0]}#${link}`

/** A lesson that is open has an address instead of its run. */
export interface LessonAddress {
  /** Opens the lesson of this fragment. Returns whether it names one. */
  readonly open: (fragment: string) => boolean
  /** undefined: the run is in the address. */
  readonly address: ReadonlySignal<string | undefined>
}

/**
 * Follows the address, and keeps it up to date, until the returned function is called. `onOpen` is called when it names
 * another run.
 */
export function followAddress(client: LabClient, onOpen: () => void, lesson?: LessonAddress): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  let written = ''
  const open = (): void => {
    clearTimeout(timer)
    const link = linkOfFragment(location.hash.slice(1))
    if (lesson?.open(link) === true) return
    const moment = isPresentRun(client, link) ? linkMoment(link) : Number.NaN
    if (Number.isNaN(moment)) {
      onOpen()
      client.open(link)
    } else if (moment !== undefined && moment !== client.view.peek()?.now) client.goTo(moment)
  }
  const write = (link: string): void => {
    written = withMoment(link, undefined)
    history.replaceState(null, '', `#${link}`)
  }
  open()
  addEventListener('hashchange', open)
  const end = effect(() => {
    const link = client.link.value
    const moment = client.isPlaying.value ? undefined : client.view.value?.now
    const step = lesson?.address.value
    clearTimeout(timer)
    if (step !== undefined) {
      if (step !== written) write(step)
      return
    }
    if (link === '' || client.refusal.peek()?.of === 'link') return
    if (link !== written) write(link)
    timer = setTimeout(() => write(withMoment(link, moment)), SETTLED_MS)
  })
  return () => {
    removeEventListener('hashchange', open)
    clearTimeout(timer)
    end()
  }
}

const isPresentRun = (client: LabClient, link: string): boolean =>
  link !== '' && client.refusal.peek()?.of !== 'link' && withMoment(link, undefined) === client.link.peek()
