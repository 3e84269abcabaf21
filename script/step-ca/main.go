// step-ca from Debian's library packages, which bring the whole server as commands.AppCommand but no program.
//
// The authority's key lies in a file, so of all the places where keys and certificates can come from only softcas is built in.
package main

import (
	"fmt"
	"os"

	_ "github.com/smallstep/certificates/cas/softcas"
	"github.com/smallstep/certificates/commands"
	"github.com/urfave/cli"
	"go.step.sm/cli-utils/step"
)

// version is Debian's of the library, given by script/build-step-ca.
var version = "unknown"

func main() {
	step.Set("step-ca", version, "")
	app := cli.NewApp()
	app.Name = "step-ca"
	app.Version = version
	app.Usage = "an online certificate authority"
	app.Flags = commands.AppCommand.Flags
	app.Action = commands.AppCommand.Action
	if err := app.Run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
