package factor

import "time"

// Place is where a code was right, as guesses are counted.
type Place struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
}
