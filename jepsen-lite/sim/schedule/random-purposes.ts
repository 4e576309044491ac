/**
 * The purposes of the simulator's draws: the first key of each (`../random.ts`). The numbers never change, because
 * saved schedules would run differently.
 */
export const DRAW = {
  message: 1,
  handshake: 2,
  write: 3,
  read: 4,
  election: 5,
  clock: 6,
  crash: 7,
  restart: 8,
  replica: 10,
  join: 11,
  core: 12,
  swarm: 15,
  op: 16,
  recovery: 17,
  space: 18,
  store: 19,
  recipe: 20,
  wallClock: 21,
} as const
