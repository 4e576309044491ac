// The panel of the lesson that is open, beside the stage.

import { useEffect, useId, useRef, useState } from 'preact/hooks'
import type { BreakStep, PredictStep, SeeStep } from '../../../../jepsen-lite/lab/lessons/lesson.ts'
import { Button } from '../../design/button.tsx'
import { Mark } from '../../design/mark.tsx'
import { client } from '../lab-state.ts'
import './lesson-panel.css'
import { endLesson, player } from './lesson-state.ts'
import { LessonLine, LessonText } from './lesson-text.tsx'

export function LessonPanel() {
  const open = player.open.value
  const step = player.step.value
  const at = player.at.value
  const heading = useRef<HTMLHeadingElement>(null)
  const isFirst = useRef(true)
  useEffect(() => {
    // On a narrow screen it is below the stage, where somebody who opens a lesson looks first.
    if (!isFirst.current || at > 0) heading.current?.focus({ preventScroll: isFirst.current })
    isFirst.current = false
  }, [at, open])
  if (open === undefined || step === undefined) return null
  const { title, steps } = open.lesson
  return (
    <section class="lesson" aria-labelledby="lesson-title">
      <header class="lesson-head">
        <h2 id="lesson-title" ref={heading} tabIndex={-1}>
          {title}
          <span class="lesson-count">
            {' '}
            Step {at + 1} of {steps.length}
          </span>
        </h2>
        <Button kind="quiet" onClick={() => player.close()} title="Ends the lesson, and keeps the run">
          Close
        </Button>
      </header>
      <LessonSteps count={steps.length} at={at} />
      <LessonButtons />
      <div class="lesson-body" key={`${open.name} ${at}`}>
        {player.isAway.value ? (
          <Away />
        ) : step.kind === 'see' ? (
          <See step={step} />
        ) : step.kind === 'predict' ? (
          <Predict step={step} />
        ) : (
          <Break step={step} />
        )}
      </div>
    </section>
  )
}

function LessonSteps({ count, at }: { readonly count: number; readonly at: number }) {
  return (
    <ol class="lesson-steps" aria-label="Steps">
      {Array.from({ length: count }, (_, number) => (
        <li key={number}>
          <button
            type="button"
            class={number < at ? 'lesson-step lesson-step-past' : 'lesson-step'}
            aria-label={`Step ${number + 1}`}
            aria-current={number === at ? 'step' : undefined}
            title={`Step ${number + 1}`}
            onClick={() => player.goTo(number)}
          />
        </li>
      ))}
    </ol>
  )
}

/** They stay where they are from step to step. */
function LessonButtons() {
  const phase = player.phase.value
  const step = player.step.value
  const isOpenQuestion = step?.kind === 'predict' && player.predicted.value === undefined
  return (
    <div class="lesson-buttons">
      <Button onClick={() => player.back()} disabled={player.at.value === 0} title="The step before (b)">
        Back
      </Button>
      {player.isEnd.value ? (
        <Button kind="primary" onClick={endLesson} title="To the list of lessons (n)">
          Finish
        </Button>
      ) : (
        <Button
          kind="primary"
          disabled={!player.canContinue.value}
          onClick={() => player.next()}
          title={isOpenQuestion ? 'First say what you expect' : 'The next step (n)'}
        >
          {phase === 'running' ? 'Skip to its end' : 'Continue'}
        </Button>
      )}
      {!player.isFree.value && (
        <Button
          kind="quiet"
          onClick={() => player.free()}
          title="Keeps this run. You can return to the lesson."
        >
          Continue on your own
        </Button>
      )}
    </div>
  )
}

function Away() {
  return (
    <>
      <p>This run is yours now. Cut, crash, write, and go back in time as you like.</p>
      <p>
        <Button onClick={() => player.again()}>Return to the lesson</Button>
      </p>
    </>
  )
}

function Source({ of }: { readonly of: string | undefined }) {
  return of === undefined ? null : <p class="caption-source">Raft, {of}</p>
}

function See({ step }: { readonly step: SeeStep }) {
  return (
    <>
      <LessonText of={step.text} />
      <Source of={step.source} />
      {player.phase.value === 'done' && (
        <p>
          <Button kind="quiet" onClick={() => player.again()}>
            Show it again
          </Button>
        </p>
      )}
    </>
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// A question

function Predict({ step }: { readonly step: PredictStep }) {
  const id = useId()
  const [chosen, setChosen] = useState<number>()
  const predicted = player.predicted.value
  const isDone = player.phase.value === 'done'
  const right = isDone ? player.right.value : undefined
  return (
    <>
      <form
        class="lesson-question"
        onSubmit={(event) => {
          event.preventDefault()
          if (chosen !== undefined) player.predict(chosen)
        }}
      >
        <fieldset disabled={predicted !== undefined || player.phase.value !== 'asked'}>
          <legend>
            <LessonText of={step.question} />
          </legend>
          {step.choices.map(({ text }, number) => (
            <label key={text} class={number === predicted ? 'lesson-choice lesson-chosen' : 'lesson-choice'}>
              <input
                type="radio"
                name={id}
                checked={number === (predicted ?? chosen)}
                onChange={() => setChosen(number)}
              />
              <span>
                <LessonLine text={text} />
                {right !== undefined && (
                  <ChoiceMark isRight={right.includes(number)} isMine={number === predicted} />
                )}
              </span>
            </label>
          ))}
        </fieldset>
        {predicted === undefined && (
          <Button type="submit" disabled={chosen === undefined || player.phase.value !== 'asked'}>
            Predict, then see
          </Button>
        )}
      </form>
      <div class="lesson-reply" role="status">
        {predicted !== undefined && player.phase.value === 'running' && <p class="dim">See what happens …</p>}
        {right !== undefined && predicted !== undefined && (
          <Reply step={step} isRight={right.includes(predicted)} predicted={predicted} />
        )}
      </div>
    </>
  )
}

function ChoiceMark({ isRight, isMine }: { readonly isRight: boolean; readonly isMine: boolean }) {
  if (isRight) return <Mark of="written" text="what the run shows" />
  return isMine ? <Mark of="not-written" text="your prediction" /> : null
}

function Reply({
  step,
  isRight,
  predicted,
}: {
  readonly step: PredictStep
  readonly isRight: boolean
  readonly predicted: number
}) {
  return (
    <>
      <p class="lesson-verdict">{isRight ? 'As you predicted.' : 'The run went another way.'}</p>
      <LessonText of={step.choices[predicted]?.reply ?? []} />
      <LessonText of={step.after} />
      <Source of={step.source} />
      <p>
        <Button kind="quiet" onClick={() => player.again()}>
          Ask me again
        </Button>
      </p>
    </>
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// A task

function Break({ step }: { readonly step: BreakStep }) {
  const isDone = player.phase.value === 'done'
  const reached = player.reached.value
  return (
    <>
      <LessonText of={step.task} />
      <ul class="lesson-goal" aria-label="The goal">
        {step.goal.map(({ text, fact }, number) => (
          <li key={fact.text}>
            {text === undefined ? <code>{fact.text}</code> : <LessonLine text={text} />}{' '}
            {reached[number] ? <Mark of="written" text="holds" /> : <Mark of="not-written" text="not yet" />}
          </li>
        ))}
      </ul>
      <p class="dim">Until {(step.until / 1000).toFixed(2)} s of the run.</p>
      <p class="lesson-help">
        {step.hint.length > 0 && (
          <Button
            kind="quiet"
            disabled={isDone || player.isHintShown.value}
            onClick={() => (player.isHintShown.value = true)}
          >
            Hint
          </Button>
        )}
        <Button kind="quiet" disabled={isDone} onClick={() => player.solve()}>
          Show me
        </Button>
        <Button kind="quiet" onClick={() => player.again()}>
          Start again
        </Button>
      </p>
      {player.isHintShown.value && <LessonText of={step.hint} />}
      <p class={isDone ? 'lesson-state lesson-verdict' : 'lesson-state'}>
        {isDone
          ? player.isSolved.value
            ? 'This is one way.'
            : 'You have done it.'
          : player.isLate.value
            ? 'The time of this task has passed: start again.'
            : player.phase.value === 'asked' && !client.isPlaying.value
              ? 'Time stands still: play or step with the buttons at the bottom.'
              : ''}
      </p>
    </>
  )
}

/** The reply after a task. It stands below the actions, which stay where they are when the task is done. */
export function TaskReply() {
  const step = player.step.value
  if (step?.kind !== 'break' || player.isAway.value) return null
  return (
    <div role="status">
      {player.phase.value === 'done' && (
        <div class="lesson lesson-after">
          <LessonText of={step.after} />
          <Source of={step.source} />
        </div>
      )}
    </div>
  )
}
