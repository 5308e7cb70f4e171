/** What to say to somebody at an hour of the day. */
export function greet(name: string, hour: number): string {
  const day = hour < 12 ? 'morning' : 'afternoon';
  return 
}
