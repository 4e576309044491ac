// The port at which the lab is served where it is free: the address of a run stays the same from one day to the next.

export const LAB_PORT = 7360
