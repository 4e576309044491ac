// Time: play, pause, step, rewind, and speed.

import { Button } from '../design/button.tsx'
import { plural } from '../design/numbers.ts'
import { SPEED_MAX, SPEED_MIN } from './lab-client.ts'
import { client } from './lab-state.ts'
import { hasLesson, player } from './lesson/lesson-state.ts'
import './transport.css'

export const BACK_MS = 100

export function Transport() {
  const isPlaying = client.isPlaying.value
  return (
    <section class="transport" aria-label="Time">
      <div class="transport-buttons">
        <Button onClick={() => client.goBack(BACK_MS)} label="Back 100 ms" title="Back 100 ms (←)">
          <Sign path="m9.5 3.5-5 4.5 5 4.5" />
        </Button>
        <Button
          kind="primary"
          onClick={() => client.togglePlay()}
          label={isPlaying ? 'Pause' : 'Play'}
          title="Play or pause (space)"
        >
          <Sign path={isPlaying ? 'M5 3v10m6-10v10' : 'M5 3v10l8-5Z'} isSolid={!isPlaying} />
        </Button>
        <Button onClick={() => client.step()} label="Next event" title="To the next event (→)">
          <Sign path="m6.5 3.5 5 4.5-5 4.5" />
        </Button>
        <Button onClick={() => client.skip()} label="Next decision" title="To the next decision (d)">
          <Sign path="m3 3.5 5 4.5-5 4.5m5-9 5 4.5-5 4.5" />
        </Button>
      </div>
      <Scrub />
      <Speed />
    </section>
  )
}

function Sign({ path, isSolid = false }: { readonly path: string; readonly isSolid?: boolean }) {
  return (
    <svg
      class={isSolid ? 'transport-sign transport-solid' : 'transport-sign'}
      viewBox="0 0 16 16"
      aria-hidden="true"
    >
      <path d={path} />
    </svg>
  )
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`

function Scrub() {
  const instant = client.instant.value
  const end = Math.max(client.end.value, instant)
  // A lesson does not say what will happen.
  const later = hasLesson.value && !player.isAway.value ? 0 : client.laterLines.value.length
  return (
    <div class="scrub">
      <output class="scrub-time">{seconds(instant)}</output>
      <div class="scrub-track">
        {client.lines.value
          .filter(({ at }) => at <= end)
          .map(({ at, text }, number) => (
            <span
              key={`${number} ${text}`}
              class="scrub-line"
              style={{ left: `${(100 * Math.min(at, end)) / Math.max(end, 1)}%` }}
            />
          ))}
        <input
          type="range"
          min="0"
          max={end}
          step="1"
          value={instant}
          aria-label="Moment"
          title="A mark above the bar is what you, or the run itself, does at that moment"
          aria-valuetext={`${seconds(instant)} of ${seconds(end)}`}
          onInput={({ currentTarget }) => client.goTo(Number(currentTarget.value))}
        />
      </div>
      <span class="scrub-time dim">{seconds(end)}</span>
      {later > 0 && (
        <span class="scrub-later">
          What you do here replaces what came later: {plural(later, 'action')}, kept under Other futures.
        </span>
      )}
    </div>
  )
}

const times = (speed: number): string =>
  `${speed >= 1 ? speed.toFixed(speed < 10 ? 1 : 0) : speed.toPrecision(1)} ×`

function Speed() {
  const speed = client.speed.value
  const real = client.realSpeed.value
  const text = times(speed)
  return (
    <label class="speed">
      <span>Speed</span>
      <input
        type="range"
        min={Math.log10(SPEED_MIN)}
        max={Math.log10(SPEED_MAX)}
        step="0.1"
        value={Math.log10(speed)}
        aria-valuetext={`${text} real time`}
        onInput={({ currentTarget }) => {
          client.speed.value = 10 ** Number(currentTarget.value)
        }}
      />
      <output>{text}</output>
      {client.isPlaying.value && real !== undefined && (
        <span class="dim" title="This machine runs the cluster no faster.">
          really {times(real)}
        </span>
      )}
    </label>
  )
}
