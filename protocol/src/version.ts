/** Major version of the wire. Peers with equal ones understand each other. */
export const wireVersion = 1;
