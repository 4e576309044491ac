export { type ChangeEvent, EventsMessage, type MessageForm, PREV_BYTES_MAX } from './events.ts'
export { WatchHub, type WatchLimits } from './hub.ts'
export type { PermittedWatch, WatchCounts, WatchEnd, WatchHandle, WatchSink } from './types.ts'
