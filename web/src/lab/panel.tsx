// Parts of the panels of what is picked.

import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { Button } from '../design/button.tsx'
import { Select } from '../design/field.tsx'
import { faultMs, picked } from './lab-state.ts'
import './panel.css'
import { scrollDistance } from './panel-scroll.ts'

interface GroupProps {
  readonly title: ComponentChildren
  readonly children: ComponentChildren
}

export function Panel({ title, children }: GroupProps) {
  const element = useRef<HTMLElement>(null)
  useEffect(() => {
    if (element.current !== null) scrollToPanel(element.current)
  }, [])
  return (
    <section ref={element} class="panel">
      <header class="panel-head">
        <h2>{title}</h2>
        <Button
          kind="quiet"
          onClick={() => {
            picked.value = undefined
          }}
        >
          Close
        </Button>
      </header>
      {children}
    </section>
  )
}

/** A sentence may stand at the top of a narrow screen. */
const TOP_PX = 112

/** On a narrow screen the panel is below the stage. In a lesson the stage stays where it is. */
function scrollToPanel(panel: Element): void {
  const rectOf = (selector: string) => document.querySelector(selector)?.getBoundingClientRect()
  const stage = document.querySelector('.stage')
  const stays = stage !== null && getComputedStyle(stage).position === 'sticky'
  const top = stays ? stage.getBoundingClientRect().height + (rectOf('.caption')?.height ?? 0) : TOP_PX
  const view = { top, bottom: rectOf('.transport')?.top ?? innerHeight }
  const pickedTop = stays ? undefined : rectOf('.stage [aria-pressed="true"]')?.top
  scrollBy(0, scrollDistance(panel.getBoundingClientRect(), view, pickedTop))
}

export function Group({ title, children }: GroupProps) {
  return (
    <div class="panel-group">
      <h3>{title}</h3>
      <div class="panel-buttons">{children}</div>
    </div>
  )
}

/** A group that most people do not need. */
export function MoreGroup({ title, children }: GroupProps) {
  return (
    <details class="panel-more">
      <summary>{title}</summary>
      <div class="panel-buttons">{children}</div>
    </details>
  )
}

const DURATIONS = [
  { value: '500', text: '0.5 s' },
  { value: '3000', text: '3 s' },
  { value: '10000', text: '10 s' },
  { value: '60000', text: '60 s' },
] as const

/** How long a fault lasts. */
export function DurationSelect() {
  return (
    <Select
      label="for"
      value={String(faultMs.value) as (typeof DURATIONS)[number]['value']}
      options={DURATIONS}
      onChange={(value) => {
        faultMs.value = Number(value)
      }}
    />
  )
}
