// The page of the lab: the cluster, what happens in it, and what a person can do.

import { effect, signal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect } from 'preact/hooks'
import type { ViewPart } from '../../../jepsen-lite/lab/fold-views.ts'
import type { LessonView } from '../../../jepsen-lite/lab/lessons/lesson.ts'
import { Button } from '../design/button.tsx'
import { CopyButton } from '../design/copy-button.tsx'
import { Dialog } from '../design/dialog.tsx'
import { Icon } from '../design/icon.tsx'
import { Notice } from '../design/notice.tsx'
import { ThemeButton } from '../design/theme.tsx'
import { Actions } from './actions.tsx'
import { followAddress, presentAddress } from './address.ts'
import './app.css'
import { Caption, Happened, Legend } from './caption.tsx'
import { CheckDialog } from './check-dialog.tsx'
import { CodeDialog } from './code-dialog.tsx'
import { introduction } from './first-words.ts'
import { followFutures } from './futures-list.tsx'
import { onKey, SHORTCUTS } from './keys.ts'
import { client, nodes, operations, picked, watches } from './lab-state.ts'
import { Lanes } from './lanes.tsx'
import { LessonPanel, TaskReply } from './lesson/lesson-panel.tsx'
import { hasLesson, openLessonAddress, openList, player, shownViews } from './lesson/lesson-state.ts'
import { LessonsDialog } from './lesson/lessons-dialog.tsx'
import { viewOrder } from './lesson/view-order.ts'
import { Logs } from './logs.tsx'
import { NewRun } from './new-run.tsx'
import { RunFiles } from './run-files.tsx'
import { SpaceTime } from './space-time.tsx'
import { Stage } from './stage.tsx'
import { Stores } from './stores.tsx'
import { BACK_MS, Transport } from './transport.tsx'
import { WrongRule } from './wrong-rule.tsx'

const isKeysOpen = signal(false)

export function App() {
  useEffect(
    () =>
      followAddress(client, () => (picked.value = undefined), {
        open: openLessonAddress,
        address: player.address,
      }),
    [],
  )
  useEffect(followFutures, [])
  useEffect(followFrames, [])
  useEffect(() => onKey({ backMs: BACK_MS, showKeys: () => (isKeysOpen.value = true) }), [])
  const refusal = client.refusal.value
  return (
    <div class="lab">
      <header class="lab-head">
        <h1>
          <Icon name="quorate" /> quorate lab
        </h1>
        <div class="lab-tools">
          <Button onClick={openList} title="Predict, see, and break it yourself (l)">
            Lessons
          </Button>
          <NewRun />
          <RunFiles />
          <Button kind="quiet" onClick={() => client.check()} title="Runs it again with all checks">
            Check
          </Button>
          <CopyButton text={() => presentAddress(client)} what="the address of this run, at this moment">
            Share
          </CopyButton>
        </div>
        <div class="lab-aids">
          <Button kind="quiet" onClick={() => (isKeysOpen.value = true)} title="Shows the keys (?)">
            Keys
          </Button>
          <ThemeButton />
        </div>
      </header>
      <main>
        <div class="lab-notices">
          <Introduction />
          {refusal !== undefined && <Refused of={refusal.of} why={refusal.why} />}
          <WrongRule />
          <Kept />
        </div>
        <div class={hasLesson.value ? 'lab-main lab-with-lesson' : 'lab-main'}>
          <div class="lab-top">
            {refusal?.of !== 'link' && <Caption isFree={hasActions()} />}
            <Stage />
            <div class="lab-side">
              <LessonPanel />
              {hasActions() && <Actions />}
              <TaskReply />
              <Happened />
            </div>
          </div>
          {viewOrder(shownViews.value).map((view) => (
            <ViewFold key={view} view={view} isOpen={shownViews.value.includes(view) || hasContent(view)} />
          ))}
          <Fold title="Shapes and colours">
            <Legend />
          </Fold>
        </div>
      </main>
      <Transport />
      {isKeysOpen.value && <KeysDialog />}
      <CheckDialog />
      <CodeDialog />
      <LessonsDialog />
    </div>
  )
}

/** A sentence for newcomers, until somebody acts. */
function Introduction() {
  if (hasLesson.value || client.lines.value.length > 0 || client.refusal.value?.of === 'link') return null
  return (
    <p class="lab-introduction">
      {introduction(nodes.value.length)} Start with <a href="#lesson=election">a lesson</a>, or break
      something.
    </p>
  )
}

/** A step to see or to predict shows only what a person asks for. */
const hasActions = (): boolean =>
  !hasLesson.value || player.isAway.value || player.step.value?.kind === 'break' || picked.value !== undefined

const VIEWS: Readonly<
  Record<LessonView, { title: string; part?: ViewPart; Content: () => ComponentChildren }>
> = {
  logs: { title: 'Logs', Content: Logs },
  clients: { title: 'Clients', Content: Lanes },
  store: { title: 'Stores', part: 'stores', Content: Stores },
  diagram: { title: 'Space and time', part: 'diagram', Content: SpaceTime },
}

/** Whether there is something to see in a view that costs nothing. */
function hasContent(view: LessonView): boolean {
  if (view !== 'logs' && view !== 'clients') return false
  return operations.value.length > 0 || (view === 'clients' && watches.value.length > 0)
}

function ViewFold({ view, isOpen }: { readonly view: LessonView; readonly isOpen: boolean }) {
  const { Content, ...fold } = VIEWS[view]
  return (
    <Fold {...fold} isOpen={isOpen}>
      <Content />
    </Fold>
  )
}

interface FoldProps {
  readonly title: string
  /** There is something to see now. Later, the user decides. */
  readonly isOpen?: boolean
  /** The part of a view that it shows. Views have it only while this is open. */
  readonly part?: ViewPart
  readonly children: ComponentChildren
}

function Fold({ title, isOpen = false, part, children }: FoldProps) {
  return (
    <details
      class="fold"
      open={isOpen}
      onToggle={({ currentTarget }) => {
        if (part !== undefined) client.show(part, currentTarget.open)
      }}
    >
      <summary>
        <Icon name="chevron" />
        <h2>{title}</h2>
      </summary>
      <div class="fold-content">{children}</div>
    </details>
  )
}

/** The violation for which the file of this run was kept. */
function Kept() {
  const { kept, view } = client
  if (kept.value === undefined || view.value?.violation !== undefined) return null
  return (
    <Notice kind="note">
      {view.value?.isOver
        ? 'The run has ended, and breaks no rule. Its schedule was kept because it did: '
        : 'The schedule was kept for what comes next: '}
      {kept.value}
    </Notice>
  )
}

function Refused({ of, why }: { readonly of: 'link' | 'file' | 'line' | 'run'; readonly why: string }) {
  if (of === 'file') return <Notice kind="problem">The file has no run that can be opened: {why}.</Notice>
  if (of !== 'link') return <Notice kind="problem">That is not possible: {why}</Notice>
  return (
    <Notice kind="problem">
      The address names no run that can be opened: {why}. Ask for the whole address, or{' '}
      <Button onClick={() => client.open('')}>Start a new cluster</Button>
    </Notice>
  )
}

function KeysDialog() {
  return (
    <Dialog title="Keys" onClose={() => (isKeysOpen.value = false)}>
      <dl class="keys">
        {SHORTCUTS.map(({ shown, text }) => (
          <div key={shown}>
            <dt>
              <kbd>{shown}</kbd>
            </dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  )
}

/** Frames are asked for only while something moves. */
function followFrames(): () => void {
  let asked: number | undefined
  const draw = (at: number): void => {
    asked = client.isMoving.peek() ? requestAnimationFrame(draw) : undefined
    client.frame(at)
  }
  const end = effect(() => {
    if (client.isMoving.value) asked ??= requestAnimationFrame(draw)
  })
  return () => {
    end()
    if (asked !== undefined) cancelAnimationFrame(asked)
  }
}
