import { useState } from 'preact/hooks'
import { Button } from '../design/button.tsx'
import { Dialog } from '../design/dialog.tsx'
import { Select } from '../design/field.tsx'
import { client, picked } from './lab-state.ts'

const SIZES = ['1', '2', '3', '4', '5', '6', '7'] as const
type Size = (typeof SIZES)[number]
/** A cluster of the lab has at most so many machines. The others are spares. */
const MACHINES_MAX = 7
const SEEDS = 1_000_000

/** Begins another run: its seed decides all delays and timeouts. */
export function NewRun() {
  const [isOpen, setOpen] = useState(false)
  const [size, setSize] = useState<Size>('5')
  const begin = (): void => {
    const seed = 1 + Math.floor(Math.random() * SEEDS)
    const spares = Math.min(2, MACHINES_MAX - Number(size))
    picked.value = undefined
    client.open(`seed=${seed},nodes=${size},spares=${spares}`)
    setOpen(false)
  }
  return (
    <>
      <Button kind="quiet" onClick={() => setOpen(true)}>
        New run
      </Button>
      {isOpen && (
        <Dialog title="New run" onClose={() => setOpen(false)}>
          <Select
            label="Nodes"
            value={size}
            options={SIZES.map((value) => ({ value, text: value }))}
            onChange={setSize}
          />
          <p class="dim">
            The run has a new seed, and so other delays and timeouts. Share the present one first to come back
            to it.
          </p>
          <div class="dialog-actions">
            <Button onClick={() => setOpen(false)}>Cancel</Button>
            <Button kind="primary" onClick={begin}>
              Begin
            </Button>
          </div>
        </Dialog>
      )}
    </>
  )
}
